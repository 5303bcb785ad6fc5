"""One look at a queue and its pods: what the autoscaler decides on."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from jobyard_operator.core.drain import Pod
from jobyard_operator.core.observation import Observation
from jobyard_operator.core.pods import PodFacts
from jobyard_operator.core.scaling import horizon
from jobyard_operator.redis.look import Look
from jobyard_operator.redis.pods import PodWork

#: Starts of pods that are remembered for the cold start.
STARTS = 10


@dataclass(frozen=True, slots=True)
class Deployed:
    """What the Deployment asks for, and what there is of it.

    Attributes:
        refused: why its pods can't be made, as the API server says: Pod Security, a quota. None: they can.
    """

    replicas: int
    existing: int
    updated: int
    ready: int
    refused: str | None = None


class ColdStart:
    """From the creation of a pod until it serves, in seconds: the ninth of ten, of the last ones."""

    def __init__(self, starts: Sequence[float] = ()) -> None:
        self.starts = list(starts)[-STARTS:]
        self._seen: set[str] = set()

    def learn(self, pods: Sequence[PodFacts]) -> None:
        """From pods that serve since they were created: each counts once."""
        for pod in pods:
            if pod.ready_at is not None and pod.restarts == 0 and pod.uid not in self._seen:
                self.starts = [*self.starts, max(0.0, pod.ready_at - pod.created)][-STARTS:]
        self._seen = {pod.uid for pod in pods if pod.uid in self._seen or pod.ready_at is not None}

    @property
    def seconds(self) -> float | None:
        """None: none was seen yet."""
        if not self.starts:
            return None
        return sorted(self.starts)[math.ceil(0.9 * len(self.starts)) - 1]


def soon(cold_start: float | None) -> float:
    """Seconds within which a delayed job is due before a pod that is started now would serve."""
    return horizon(Observation(now=0, cold_start=cold_start))


def workloads(pods: Sequence[PodFacts], look: Look, work: dict[str, PodWork]) -> list[Pod]:
    """The pods that are not terminating, with how many jobs each runs; from who holds which job, as Redis has it."""
    return [
        Pod(
            name=pod.name,
            running=sum(look.held_by.get(token, 0) for token in work[pod.name].tokens) if pod.name in work else None,
            ready=pod.ready,
            created=pod.created,
            cost=pod.cost,
        )
        for pod in pods
        if not pod.terminating and not pod.finished
    ]


def observation(
    look: Look,
    deployed: Deployed,
    pods: Sequence[PodFacts],
    busy: Sequence[Pod],
    *,
    service: float | None,
    cold_start: float | None,
    next_tick: float | None = None,
) -> Observation:
    """All that is known, in one value."""
    return Observation(
        now=look.now,
        waiting=look.waiting,
        active=look.active,
        orphaned=look.orphaned,
        parked=look.parked,
        delayed=look.delayed,
        due_soon=look.due_soon,
        dead=look.dead,
        next_due=look.next_due,
        next_tick=next_tick,
        oldest=look.oldest,
        ended=look.ended,
        service=service,
        running=look.running,
        replicas=deployed.replicas,
        ready=sum(pod.ready for pod in busy),
        starting=max(0, deployed.replicas - sum(pod.ready for pod in busy)),
        terminating=sum(pod.terminating for pod in pods),
        idle=sum(pod.ready and pod.running == 0 for pod in busy),
        cold_start=cold_start,
    )


def blind(deployed: Deployed, error: Exception) -> Observation:
    """What is known while Redis can't be reached."""
    return Observation(now=time.time(), error=str(error) or type(error).__name__, replicas=deployed.replicas)
