"""The autoscaler: how many replicas a queue needs, and why. Pure: `decide(rules, observation, memory) -> Decision`.

It aims at a time, not at a length: jobs start within `target_wait`. Two needs are met, the steady one by Little's law (arrivals
times service time = threads in use) and that of the backlog, which must be gone before its first job has waited too long. Up is
at once, from zero to the number needed in one step; down is slow, and never ends a busy pod. docs/operator/scaling.md tells it in
prose.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from jobyard_operator.core.observation import DEFAULT_COLD_START, Decision, Memory, Observation, Rules
from jobyard_operator.core.rates import averaged, decayed, highest, with_peak
from jobyard_operator.core.reasons import Bound, Reason

FAST_HALF_LIFE: Final = 15.0
SLOW_HALF_LIFE: Final = 120.0
#: In runs that ended; at least, and as many as come in SLOW_HALF_LIFE: one long job among many short ones moves little.
SERVICE_HALF_LIFE: Final = 20.0
#: So many are counted; more say no more.
MOST_RUNS: Final = 1_000_000
#: What the backlog needed is held for so many seconds only: when it is gone, it is gone.
BACKLOG_HOLD: Final = 30.0
#: A pod shall be there a little before what it was started for; a tick of the control loop is 5 s.
LEAD: Final = 5.0
#: More turns than this within FLAP_WINDOW seconds: everything is held for twice as long.
FLAP_TURNS: Final = 4
FLAP_WINDOW: Final = 600.0


def horizon(observation: Observation) -> float:
    """Seconds until a pod that is started now would serve, with a little lead."""
    cold = observation.cold_start
    return (DEFAULT_COLD_START if cold is None else cold) + LEAD


def decide(rules: Rules, observation: Observation, memory: Memory) -> Decision:
    """How many replicas there shall be. The same values in give the same decision."""
    if rules.external or rules.replicas is not None:
        return _told(rules, observation, memory)
    if observation.error is not None:
        return _blind(rules, observation, memory)
    first = memory.looked is None
    memory = _learn(observation, memory)
    if rules.paused:
        return _paused(rules, observation, memory)
    need = _Need(rules, observation, memory)
    if first:
        # Whoever decided before us may have known more: what runs is held for a while.
        memory = replace(memory, steady=((observation.now, observation.replicas),))
    memory = replace(
        memory,
        steady=with_peak(memory.steady, observation.now, min(need.steady, need.desired), 4 * rules.stabilization),
        needed=with_peak(memory.needed, observation.now, need.desired, 4 * min(BACKLOG_HOLD, rules.stabilization)),
    )
    if need.desired > observation.replicas:
        return _up(rules, observation, memory, need)
    if need.desired < observation.replicas:
        return _down(rules, observation, memory, need)
    return need.decision(need.desired, need.reason, memory)


def _told(rules: Rules, observation: Observation, memory: Memory) -> Decision:
    """Somebody else decides. What is needed is told nevertheless: whoever decides may go by it."""
    reason = Reason.EXTERNAL if rules.external else Reason.MANUAL
    inputs: dict[str, float] = {}
    if observation.error is None:
        # When it is our turn again, what runs then is held for a while. Windows and turns of before are of no use.
        learned = _learn(observation, memory)
        memory = Memory(
            looked=learned.looked,
            total=learned.total,
            ended=learned.ended,
            fast=learned.fast,
            slow=learned.slow,
            service=learned.service,
            runs=learned.runs,
            steady=((observation.now, observation.replicas),),
            idle_since=learned.idle_since,
        )
        need = _Need(rules, observation, memory)
        inputs = need.inputs()
        if rules.paused:
            inputs["needed"] = _paused_need(rules, observation)
    said = f"; {_pods(int(inputs['needed']))} would be needed" if inputs else ""
    if rules.replicas is None:
        sentence = f"Somebody else scales the Deployment, since scaling.mode is External{said}."
    else:
        sentence = f"{_pods(rules.replicas)}, since spec.replicas says so{said}."
    return Decision(desired=rules.replicas, reason=reason, sentence=sentence, inputs=inputs, memory=memory)


def _blind(rules: Rules, observation: Observation, memory: Memory) -> Decision:
    since = observation.now if memory.blind_since is None else memory.blind_since
    memory = replace(memory, blind_since=since)
    desired = max(observation.replicas, rules.min)
    blind = max(0.0, observation.now - since)
    if rules.fallback_replicas is not None and rules.fallback_after is not None and blind >= rules.fallback_after:
        desired = max(desired, min(rules.fallback_replicas, rules.max))
        reason, what = (
            Reason.FALLBACK,
            f"at least {_pods(min(rules.fallback_replicas, rules.max))}, as scaling.fallback says",
        )
    else:
        reason, what = Reason.UNREACHABLE, f"{_pods(desired)} as before"
    sentence = f"Redis can't be reached for {blind:.0f} s ({observation.error}): {what}."
    return Decision(desired=desired, reason=reason, sentence=sentence, inputs={"blind": blind}, memory=memory)


def _paused(rules: Rules, observation: Observation, memory: Memory) -> Decision:
    desired = _paused_need(rules, observation)
    sentence = f"The queue is paused: {_pods(desired)}, while {_jobs(observation.active)} still run."
    if not observation.active:
        sentence = f"The queue is paused and nothing runs: {_pods(desired)}."
    return Decision(
        desired=desired, reason=Reason.PAUSED, sentence=sentence, memory=replace(memory, steady=(), needed=())
    )


def _paused_need(rules: Rules, observation: Observation) -> int:
    """Nothing starts: only what runs needs its pods."""
    return max(rules.min, min(observation.replicas, _idle_floor(rules, observation)))


def _learn(observation: Observation, memory: Memory) -> Memory:
    """With what this look adds. What arrived is what is there more than before, and what has ended meanwhile."""
    total = observation.waiting + observation.active + observation.orphaned + observation.parked
    arrived = ended = 0
    elapsed = 0.0
    if memory.looked is not None:
        # A counter that is lower than before has begun anew (Redis was emptied).
        ended = max(0, observation.ended - memory.ended)
        arrived = max(0, total - memory.total + ended)
        elapsed = observation.now - memory.looked
    fast, slow = memory.fast, memory.slow
    if elapsed > 0:
        fast = decayed(fast, arrived / elapsed, elapsed, FAST_HALF_LIFE)
        slow = decayed(slow, arrived / elapsed, elapsed, SLOW_HALF_LIFE)
    service = memory.service
    if observation.service is not None:
        half_life = max(SERVICE_HALF_LIFE, memory.slow * SLOW_HALF_LIFE)
        service = averaged(service, observation.service, max(ended, 1), half_life)
    quiet = not (total or arrived or ended or _due(observation))
    idle_since = (memory.idle_since if memory.idle_since is not None else observation.now) if quiet else None
    return replace(
        memory,
        looked=observation.now,
        total=total,
        ended=observation.ended,
        fast=fast,
        slow=slow,
        service=service,
        runs=min(memory.runs + ended, MOST_RUNS),
        idle_since=idle_since,
        blind_since=None,
        turns=tuple(time for time in memory.turns if time > observation.now - FLAP_WINDOW),
    )


def _due(observation: Observation) -> bool:
    """Whether anything is due before a pod that is started now would serve."""
    soonest = min(
        (time for time in (observation.next_due, observation.next_tick) if time is not None), default=math.inf
    )
    return observation.due_soon > 0 or soonest <= horizon(observation)


class _Need:
    """How many replicas are needed at this moment, whatever runs now, and what decided it."""

    def __init__(self, rules: Rules, observation: Observation, memory: Memory) -> None:
        self.bounds: list[Bound] = []
        self._rules, self._observation = rules, observation
        cold = DEFAULT_COLD_START if observation.cold_start is None else observation.cold_start
        self.rate = max(memory.fast, memory.slow)
        backlog = observation.waiting + observation.orphaned + observation.due_soon
        service = memory.service
        # While few have ended, the long ones are not invisible. Later they are in the average, and those that run at a moment
        # are longer than the mean (the inspection paradox): their age would be no measure.
        if service is not None and observation.active > memory.runs:
            service = max(service, observation.running)
        self.service, self.backlog = service, backlog
        threads = rules.threads
        due = _due(observation)
        self.there = observation.waiting + observation.active + observation.orphaned + observation.parked
        self.idle = memory.idle_since is not None and not due

        self.steady = 0
        if service is None:
            need = math.ceil((backlog + observation.active) / rules.jobs_per_replica)
            self.reason = Reason.JOBS_PER_REPLICA
            self.drain = need
        else:
            demand = self.rate * service / rules.utilization
            self.steady = math.ceil(demand / threads)
            time = max(rules.target_wait / 4, rules.target_wait - observation.oldest - cold)
            self.drain = math.ceil((demand + backlog * service / time) / threads)
            need = max(self.steady, self.drain)
            self.reason = Reason.SLO_BACKLOG if self.drain > self.steady else Reason.STEADY_LOAD

        useful = max(self.steady, math.ceil((backlog + observation.active + self.rate * cold) / threads))
        need = self._at_most(need, useful, Bound.USEFUL)
        if rules.rate is not None and service is not None:
            need = self._limit(need, rules.rate * service / rules.utilization, Bound.RATE)
        if rules.concurrency is not None:
            need = self._limit(need, rules.concurrency, Bound.CONCURRENCY)
        need = self._at_least(need, math.ceil(observation.active / threads), Bound.BUSY)
        if self.there or due:
            if need == 0 and not self.there:
                self.reason = Reason.PREWARM
            need = self._at_least(need, 1, Bound.HELD)
        if due and observation.due_soon and not self.there:
            self.reason = Reason.PREWARM
        if self.idle and memory.idle_since is not None:
            need = self._idle(need, observation.now - memory.idle_since)
        if need < rules.min:
            self.reason = Reason.AT_MIN
        need = self._at_least(need, rules.min, Bound.MIN)
        if need > rules.max:
            self.reason = Reason.AT_MAX
        self.unbounded = need
        self.desired = self._at_most(need, rules.max, Bound.MAX)

    def _idle(self, need: int, since: float) -> int:
        if self._observation.replicas == 0 or since >= self._rules.idle_timeout:
            self.reason = Reason.IDLE_TIMEOUT
            return 0
        self.reason = Reason.IDLING
        return max(1, need)

    def _at_most(self, need: int, most: int, bound: Bound) -> int:
        if need > most:
            self.bounds.append(bound)
        return min(need, most)

    def _at_least(self, need: int, least: int, bound: Bound) -> int:
        if need < least:
            self.bounds.append(bound)
        return max(need, least)

    def _limit(self, need: int, threads: float, bound: Bound) -> int:
        """At most what a limit of the queue itself can use, and one."""
        most = max(1, math.ceil(threads / self._rules.threads))
        if need > most:
            self.reason = Reason.RATE_LIMITED
        return self._at_most(need, most, bound)

    def inputs(self) -> dict[str, float]:
        """The numbers that it was made from."""
        observation = self._observation
        inputs: dict[str, float] = {
            "waiting": observation.waiting,
            "active": observation.active,
            "backlog": self.backlog,
            "oldest": observation.oldest,
            "rate": self.rate,
            "steady": self.steady,
            "drain": self.drain,
            "needed": self.desired,
            "replicas": observation.replicas,
        }
        if self.service is not None:
            inputs["service"] = self.service
        return inputs

    def decision(self, desired: int, reason: Reason, memory: Memory, *bounds: Bound) -> Decision:
        return Decision(
            desired=desired,
            reason=reason,
            sentence=self._sentence(desired, reason),
            bounds=(*self.bounds, *bounds),
            inputs=self.inputs(),
            memory=memory,
        )

    def _sentence(self, desired: int, reason: Reason) -> str:
        rules, observation = self._rules, self._observation
        pods = _pods(desired)
        took = "" if self.service is None else f" that take {self.service:.3g} s each"
        match reason:
            case Reason.SLO_BACKLOG:
                return f"{pods} to start {_jobs(self.backlog)}{took} within {rules.target_wait:g} s."
            case Reason.STEADY_LOAD:
                return f"{pods} for {self.rate:.3g} jobs a second{took}."
            case Reason.JOBS_PER_REPLICA:
                return f"{pods} for {_jobs(self.backlog + observation.active)}; how long they take is not known yet."
            case Reason.AT_MAX:
                return (
                    f"{pods}, which is scaling.max; {self.unbounded} would be needed for {_jobs(self.backlog)} waiting."
                )
            case Reason.AT_MIN:
                return f"{pods}, which is scaling.min; fewer would do."
            case Reason.RATE_LIMITED:
                return f"{pods}: more would help nobody, since a limit of the queue lets no more jobs run."
            case Reason.SCALING_UP:
                return f"{pods} on the way to {self.desired}; scaleUp lets no more be added at once."
            case Reason.STABILIZING:
                return f"{pods} for a while, since so many were needed a moment ago; now {self.desired} would do."
            case Reason.DRAINING:
                return f"{pods} on the way down to {self.desired}; busy pods are left to finish."
            case Reason.IDLING:
                return f"{pods}: nothing is there, and {rules.idle_timeout:g} s are not over."
            case Reason.IDLE_TIMEOUT:
                return f"{pods}: nothing is there."
            case Reason.PREWARM:
                return f"{pods}, started ahead of what is due within {horizon(observation):.0f} s."
            case _:
                return f"{pods}."


def _up(rules: Rules, observation: Observation, memory: Memory, need: _Need) -> Decision:
    now, replicas = observation.now, observation.replicas
    if memory.up_since is None or now >= memory.up_since + rules.up_period or replicas < memory.up_from:
        memory = replace(memory, up_since=now, up_from=replicas)
    desired, reason = need.desired, need.reason
    bounds: list[Bound] = []
    # From zero in one step; and what min demands, at once.
    if memory.up_from > 0:
        most = memory.up_from + max(rules.up_pods, memory.up_from * rules.up_percent // 100)
        most = max(most, rules.min, replicas, math.ceil(observation.active / rules.threads))
        if desired > most:
            desired, reason = most, Reason.SCALING_UP
            bounds.append(Bound.STEP_UP)
    return need.decision(desired, reason, _turned(memory, now, 1 if desired > replicas else 0), *bounds)


def _down(rules: Rules, observation: Observation, memory: Memory, need: _Need) -> Decision:
    now, replicas = observation.now, observation.replicas
    bounds: list[Bound] = []
    desired, reason = need.desired, need.reason
    asleep = need.idle and need.reason in (Reason.IDLE_TIMEOUT, Reason.AT_MIN) and _slept(rules, memory, now)
    if not asleep:
        patience = 1
        if len(memory.turns) > FLAP_TURNS:
            patience = 2
        held = _held(rules, memory, now, patience)
        if patience > 1 and held > _held(rules, memory, now, 1):
            bounds.append(Bound.FLAP_GUARD)
        if held == replicas - 1 and replicas <= rules.max and held < _held(rules, memory, now, 2 * patience):
            held = replicas
            bounds.append(Bound.DEAD_BAND)
        # What somebody demands is no noise: a lower max holds at once.
        held = min(held, replicas, rules.max)
        if held > desired:
            desired, reason = held, Reason.STABILIZING
            bounds.append(Bound.STABILIZATION)
    floor = min(replicas, _idle_floor(rules, observation))
    if desired < floor:
        desired, reason = floor, Reason.DRAINING
        bounds.append(Bound.IDLE_PODS)
    if desired < replicas and not asleep:
        if memory.down_since is None or now >= memory.down_since + rules.down_period or replicas > memory.down_from:
            memory = replace(memory, down_since=now, down_from=replicas)
        least = memory.down_from - max(1, memory.down_from * rules.down_percent // 100)
        if desired < min(least, replicas):
            desired, reason = min(least, replicas), Reason.DRAINING
            bounds.append(Bound.STEP_DOWN)
    return need.decision(desired, reason, _turned(memory, now, -1 if desired < replicas else 0), *bounds)


def _slept(rules: Rules, memory: Memory, now: float) -> bool:
    return memory.idle_since is not None and now - memory.idle_since >= rules.idle_timeout


def _held(rules: Rules, memory: Memory, now: float, times: int) -> int:
    """The highest need of the window: of the steady need for long, of the whole need for a short while."""
    steady = highest(memory.steady, now, times * rules.stabilization)
    return max(steady, highest(memory.needed, now, times * min(BACKLOG_HOLD, rules.stabilization)))


def _idle_floor(rules: Rules, observation: Observation) -> int:
    """How many replicas must stay so that no busy pod is ended: all but the idle ones and those that have not started yet."""
    idle = observation.idle
    if idle is None:
        # Not known which are busy: at worst each running job has a pod to itself.
        idle = max(0, observation.ready - observation.active)
    return max(math.ceil(observation.active / rules.threads), observation.ready - idle)


def _turned(memory: Memory, now: float, direction: int) -> Memory:
    if direction == 0:
        return memory
    turns = (*memory.turns, now)[-2 * FLAP_TURNS :] if memory.direction == -direction else memory.turns
    return replace(memory, direction=direction, turns=turns)


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
