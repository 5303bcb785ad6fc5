"""Jobyard's own rule in the simulation: `decide()` as the operator calls it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from fleet import COLD_START, MOST_PODS, THREADS, Fleet

from jobyard_operator.core.observation import Memory, Observation, Rules
from jobyard_operator.core.scaling import decide, horizon

PERIOD: Final = 5.0


class Jobyard:
    """A JobQueue with default settings, but for the threads and the most pods."""

    spares_busy = True
    grace = 35.0
    #: From the first job to a sleeping queue until the operator has looked.
    wakes_after = 1.0

    def __init__(self) -> None:
        self._rules = Rules(threads=THREADS, max=MOST_PODS)
        self._memory = Memory()

    def next_look(self, fleet: Fleet) -> float:
        """Every five seconds."""
        return fleet.now + PERIOD

    def look(self, fleet: Fleet) -> int:
        """What the rule decides from what can be seen."""
        now, serving = fleet.now, fleet.serving
        runs = [now - began for pod in fleet.pods for _, began in pod.running.values()]
        standing = [pod for pod in fleet.pods if not pod.leaving]
        seen = Observation(
            now=now,
            waiting=len(fleet.waiting),
            active=len(runs),
            delayed=len(fleet.delayed),
            next_due=fleet.delayed[0] - now if fleet.delayed else None,
            oldest=now - fleet.waiting[0].arrival.due if fleet.waiting else 0.0,
            ended=fleet.ended,
            service=sum(fleet.recent) / len(fleet.recent) if fleet.recent else None,
            running=sum(runs) / len(runs) if runs else 0.0,
            replicas=fleet.replicas,
            ready=len(serving),
            starting=len(standing) - len(serving),
            terminating=len(fleet.pods) - len(standing),
            idle=sum(not pod.running for pod in serving),
            cold_start=COLD_START * 1.3,
        )
        seen = replace(seen, due_soon=sum(due <= now + horizon(seen) for due in fleet.delayed))
        fleet.recent.clear()
        decision = decide(self._rules, seen, self._memory)
        self._memory = decision.memory
        return fleet.replicas if decision.desired is None else decision.desired
