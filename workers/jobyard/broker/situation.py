"""What holds a job, as far as Redis knows: read at one instant, for `explain`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from jobyard.broker.breakers import Breaker, breaker_of
from jobyard.broker.inspector import Job, job_of, pairs
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.scripts import script
from jobyard.broker.workers import WorkerInfo, list_workers

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

#: Where the server can't count, so many jobs are looked at.
_MOST: Final = 1_000
#: An idle worker asks every 5 s.
_JUST_NOW: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A job and what holds it. Times in ms since 1970, by the server's clock; None where they don't apply.

    Attributes:
        workers: the processes that are there, also those that have nothing to do with the job's queue.
        seen_at: when any worker last asked for jobs of the queue. Those under Dramatiq's own command line are not in `workers`.
        held: why the operator lets no job of the queue start.
        key: whose job it is.
        granted: a rate has given it the time at which it may start.
        expires_at: by when it must have started.
        lease_until: active: how long its worker holds it, unless it renews.
        deadline_at: by when it must have ended.
        cancelled_at: active: when it was asked to stop.
        late: it was asked to stop since its deadline is over.
        put_off: its last attempt was taken back: it asked for a later time, or its worker stopped.
        active, running: how many jobs of the queue run; ids of some.
        slots, holders: the same for its key.
        queue_rate_at, key_rate_at: the next start that the rates allow.
        ahead: waiting: how many jobs of each priority stand before it.
        ahead_read: of how many of them the priority is known.
        parked_ahead: parked: how many jobs that are parked for the same reason stand before it.
        breaker: parked: the breaker of what it depends on, if it is held for that. How many it holds is not told.
    """

    job: Job
    now: int
    policy: QueuePolicy = field(default_factory=QueuePolicy)
    workers: list[WorkerInfo] = field(default_factory=list)
    seen_at: int | None = None
    held: str | None = None
    key: str = ""
    granted: bool = False
    expires_at: int | None = None
    lease_until: int | None = None
    deadline_at: int | None = None
    cancelled_at: int | None = None
    late: bool = False
    put_off: bool = False
    active: int = 0
    running: list[str] = field(default_factory=list)
    slots: int = 0
    holders: list[str] = field(default_factory=list)
    queue_rate_at: int | None = None
    key_rate_at: int | None = None
    ahead: dict[int, int] = field(default_factory=dict)
    ahead_read: int = 0
    parked_ahead: int = 0
    breaker: Breaker | None = None

    @property
    def serving(self) -> list[WorkerInfo]:
        """The workers that take jobs of its queue."""
        return [one for one in self.workers if self.job.queue in one.queues and not one.draining]

    @property
    def served_by_others(self) -> bool:
        """No worker says that it serves the queue, but one has asked for jobs just now."""
        return not self.serving and self.seen_at is not None and self.now - self.seen_at < _JUST_NOW

    @property
    def knowing(self) -> list[WorkerInfo]:
        """Those of them that know its actor."""
        return [one for one in self.serving if self.job.actor in one.actors]


def read(broker: JobyardBroker, job_id: str, queue: str) -> Situation | QueuePolicy:
    """The job's situation; where the queue doesn't know the job, the queue's policy.

    Raises:
        BrokerError: no answer.
    """
    row, *flat = broker.link.call(script("explain"), broker.keys(queue).all, (job_id, _MOST))
    facts: dict[str, Any] = dict(zip((name.decode() for name in flat[::2]), flat[1::2], strict=True))
    fields = pairs(facts["policy"])
    policy = QueuePolicy.from_fields(fields)
    if row[1] == b"unknown":
        return policy
    job = job_of(queue, row, broker.protection)
    ahead = facts.get("ahead", [])
    return Situation(
        job=job,
        now=int(facts["now"]),
        policy=policy,
        workers=list_workers(broker) if not job.ended else [],
        seen_at=_time(facts["seen"]),
        held=fields.get("held"),
        key=facts["key"].decode(),
        granted=bool(facts["granted"]),
        expires_at=_time(facts["expires"]),
        lease_until=_time(row[2]) if job.state == "active" else None,
        deadline_at=_time(facts["deadline"]),
        cancelled_at=_time(facts["cancelled_at"]),
        late=facts["late"] == b"1",
        put_off=row[4].startswith(b"- "),
        active=facts["active"],
        running=[one.decode() for one in facts["running"]],
        slots=facts.get("slots", 0),
        holders=[one.decode() for one in facts.get("holders", [])],
        queue_rate_at=_time(facts.get("queue_rate_at")),
        key_rate_at=_time(facts.get("key_rate_at")),
        ahead={int(priority): int(count) for priority, count in zip(ahead[::2], ahead[1::2], strict=True)},
        ahead_read=facts.get("ahead_read", 0),
        parked_ahead=facts.get("parked_ahead", 0),
        breaker=breaker_of(queue, facts["dependency"].decode(), facts["breaker"].decode(errors="replace"))
        if facts.get("breaker")
        else None,
    )


def _time(text: bytes | None) -> int | None:
    return int(float(text)) if text else None
