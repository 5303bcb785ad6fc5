"""What the autoscaler knows, what it remembers, and what it says. All of it can be written as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from jobyard_operator.core.rates import Peaks
from jobyard_operator.core.reasons import Bound, Reason
from jobyard_operator.resources.jobqueue import JobQueueSpec

#: Assumed until one was measured, in seconds.
DEFAULT_COLD_START = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a JobQueue says about its scale, without the rest. Times in seconds.

    Attributes:
        threads: of one pod: jobs that it runs at the same time.
        replicas: spec.replicas; None: not set.
        utilization: from 0 to 1.
        rate: jobs a second that the queue's own rate limit lets start; None: no limit.
        concurrency: jobs that the queue's own limit lets run at the same time; None: no limit.
        fallback_after, fallback_replicas: None: no fallback.
    """

    external: bool = False
    replicas: int | None = None
    paused: bool = False
    threads: int = 8
    min: int = 0
    max: int = 10
    target_wait: float = 30
    utilization: float = 0.8
    jobs_per_replica: int = 20
    idle_timeout: float = 120
    stabilization: float = 120
    up_pods: int = 4
    up_percent: int = 100
    up_period: float = 15
    down_percent: int = 50
    down_period: float = 15
    fallback_after: float | None = None
    fallback_replicas: int | None = None
    rate: float | None = None
    concurrency: int | None = None

    @classmethod
    def of(cls, spec: JobQueueSpec) -> Self:
        """Those of a JobQueue."""
        scaling, limit = spec.scaling, spec.policy.rate_limit
        return cls(
            external=scaling.mode == "External",
            replicas=spec.replicas,
            paused=spec.paused,
            threads=spec.worker.processes * spec.worker.threads,
            min=scaling.min,
            max=scaling.max,
            target_wait=scaling.target_wait_seconds,
            utilization=scaling.target_utilization_percent / 100,
            jobs_per_replica=scaling.jobs_per_replica,
            idle_timeout=scaling.idle_timeout_seconds,
            stabilization=scaling.stabilization_seconds,
            up_pods=scaling.scale_up.max_pods,
            up_percent=scaling.scale_up.max_percent,
            up_period=scaling.scale_up.period_seconds,
            down_percent=scaling.scale_down.max_percent,
            down_period=scaling.scale_down.period_seconds,
            fallback_after=scaling.fallback.after_seconds if scaling.fallback else None,
            fallback_replicas=scaling.fallback.replicas if scaling.fallback else None,
            rate=limit.jobs / limit.period_seconds if limit else None,
            concurrency=spec.policy.concurrency,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look at a queue and its pods. Times in seconds.

    Attributes:
        now: the time, by Redis' clock; while Redis can't be reached, by ours.
        error: why Redis can't be reached; then no count means anything. None: it can.
        waiting: jobs that could start.
        active: jobs that a live worker runs.
        orphaned: jobs whose worker is gone and which nobody has taken up yet; not among the active ones.
        parked: jobs that wait for a slot of their key. More pods don't help them, but one must be there.
        delayed: jobs that are due later.
        due_soon: those of them that are due before a pod that is started now would serve (`horizon`).
        dead: dead letters; no pod helps them.
        next_due, next_tick: until the next delayed job, the next tick of a schedule; None: there is none.
        oldest: for how long the first waiting job has waited.
        ended: a counter of runs that ended, in whatever way; it may begin anew.
        service: mean time of the runs that ended since the last look; None: none ended.
        running: mean time for which the active jobs have run until now.
        replicas: what the Deployment asks for.
        ready, starting, terminating: pods. Terminating ones are not among the others.
        idle: ready pods that run nothing; None: not known.
        cold_start: from the creation of a pod until it fetches; None: not measured yet.
    """

    now: float
    error: str | None = None
    waiting: int = 0
    active: int = 0
    orphaned: int = 0
    parked: int = 0
    delayed: int = 0
    due_soon: int = 0
    dead: int = 0
    next_due: float | None = None
    next_tick: float | None = None
    oldest: float = 0
    ended: int = 0
    service: float | None = None
    running: float = 0
    replicas: int = 0
    ready: int = 0
    starting: int = 0
    terminating: int = 0
    idle: int | None = None
    cold_start: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is carried from one decision to the next: a few hundred bytes.

    Attributes:
        looked: when the last look was; None: there was none.
        total, ended: what was there and had ended then.
        fast, slow: arrivals a second, averaged with a half-life of 15 s and of 120 s.
        service: seconds that a run takes, on average of the last ones; None: none has ended yet.
        runs: how many have ended.
        steady, needed: peaks of the steady need and of the whole need.
        idle_since: since when nothing was there; None: something is.
        blind_since: since when Redis can't be reached.
        up_since, up_from: start of the period of scaleUp, and the replicas then. down_since, down_from: the same of scaleDown.
        direction: of the last change: 1 up, -1 down, 0 none yet.
        turns: when the direction changed, in the last ten minutes.
    """

    looked: float | None = None
    total: int = 0
    ended: int = 0
    fast: float = 0.0
    slow: float = 0.0
    service: float | None = None
    runs: int = 0
    steady: Peaks = ()
    needed: Peaks = ()
    idle_since: float | None = None
    blind_since: float | None = None
    up_since: float | None = None
    up_from: int = 0
    down_since: float | None = None
    down_from: int = 0
    direction: int = 0
    turns: tuple[float, ...] = ()

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """From what `dataclasses.asdict` gave, by way of JSON. What another version wrote is left aside."""
        known = {name: value for name, value in fields.items() if name in cls.__dataclass_fields__}
        for name in ("steady", "needed"):
            known[name] = tuple((float(time), int(value)) for time, value in known.get(name, ()))
        known["turns"] = tuple(known.get("turns", ()))
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many replicas there shall be, and why.

    Attributes:
        desired: None: nothing is decided, replicas are left alone.
        sentence: the reason with its numbers, for people.
        bounds: which bounds changed the number.
        inputs: the numbers that it was made from: rates in jobs a second, times in seconds, needs in replicas. `needed` is what
            is needed at this moment, also where somebody else decides; nothing is known of it while Redis can't be reached.
        memory: for the next decision.
    """

    desired: int | None
    reason: Reason
    sentence: str
    bounds: tuple[Bound, ...] = ()
    inputs: dict[str, float] = field(default_factory=dict)
    memory: Memory
