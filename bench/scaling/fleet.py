"""A queue and its pods in discrete events: jobs wait, threads take them, pods start slowly and end with or without mercy.

The workers are the same whoever scales them: each thread takes the first waiting job, and nothing is prefetched. So what differs
is the scaler alone.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from loads import LENGTH, Arrival

THREADS: Final = 8
MOST_PODS: Final = 20
COLD_START: Final = 12.0


@dataclass(slots=True)
class Job:
    """A job, and when it started first."""

    arrival: Arrival
    started: float | None = None


@dataclass(slots=True, eq=False)
class Pod:
    """A pod. `running` are its jobs with the time at which they started."""

    created: float
    ready: bool = False
    leaving: bool = False
    gone: bool = False
    running: dict[int, tuple[Job, float]] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What one run gave. Times in seconds.

    Attributes:
        waits: from due to started, of each job. Those that never started have waited until the end.
        pod_seconds: of pods that exist, from creation to end.
        killed: runs that were ended by a pod's end.
        unfinished: jobs that had not ended when the simulation did.
        changes: how often the number of replicas changed.
    """

    waits: list[float] = field(default_factory=list)
    pod_seconds: float = 0.0
    killed: int = 0
    unfinished: int = 0
    changes: int = 0


class Scaler(Protocol):
    """Who decides about replicas."""

    #: Seconds that a pod has to finish its jobs when it is told to stop.
    grace: float
    #: Whether pods that run nothing are removed first.
    spares_busy: bool

    def next_look(self, fleet: Fleet) -> float:
        """When it looks next."""
        ...

    def look(self, fleet: Fleet) -> int:
        """How many replicas there shall be."""
        ...


class Fleet:
    """One simulated run."""

    def __init__(self, jobs: list[Arrival], scaler: Scaler, seed: int) -> None:
        self.now = 0.0
        self.waiting: deque[Job] = deque()
        self.delayed: list[float] = []
        self.pods: list[Pod] = []
        self.replicas = 0
        self.ended = 0
        #: How long the runs took that ended since the scaler looked last.
        self.recent: list[float] = []
        self.outcome = Outcome()
        self._jobs, self._scaler = jobs, scaler
        self._chance = random.Random(seed)
        self._free: deque[Pod] = deque()
        self._events: list[tuple[float, int, str, Any]] = []
        self._numbers = itertools.count()
        self._looks_at = 0.0

    @property
    def serving(self) -> list[Pod]:
        """Pods that take jobs."""
        return [pod for pod in self.pods if pod.ready and not pod.leaving]

    @property
    def active(self) -> int:
        """Jobs that run."""
        return sum(len(pod.running) for pod in self.pods)

    def run(self) -> Outcome:
        """Until a quarter of an hour after the last job has come."""
        for arrival in self._jobs:
            self._at(max(0.0, arrival.sent), "sent", arrival)
        self._schedule_look(self._scaler.next_look(self))
        while self._events and self._events[0][0] <= LENGTH + 900:
            self.now, _, kind, what = heapq.heappop(self._events)
            getattr(self, f"_on_{kind}")(what)
        self.now = LENGTH + 900
        for pod in self.pods:
            self.outcome.pod_seconds += self.now - pod.created
            self.outcome.unfinished += len(pod.running)
        for job in self.waiting:
            self.outcome.unfinished += 1
            if job.started is None:
                self.outcome.waits.append(self.now - job.arrival.due)
        return self.outcome

    def wake(self, after: float) -> None:
        """Have the scaler look earlier than it wanted to."""
        if self.now + after < self._looks_at:
            self._schedule_look(self.now + after)

    def _at(self, time: float, kind: str, what: Any) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), kind, what))

    def _schedule_look(self, time: float) -> None:
        self._looks_at = time
        self._at(time, "look", time)

    def _on_sent(self, arrival: Arrival) -> None:
        if arrival.due > self.now:
            heapq.heappush(self.delayed, arrival.due)
            self._at(arrival.due, "due", arrival)
        else:
            self._come(arrival)

    def _on_due(self, arrival: Arrival) -> None:
        heapq.heappop(self.delayed)
        self._come(arrival)

    def _come(self, arrival: Arrival) -> None:
        self.waiting.append(Job(arrival))
        self._hand_out()
        if self.replicas == 0 and hasattr(self._scaler, "wakes_after"):
            self.wake(self._scaler.wakes_after)

    def _on_look(self, time: float) -> None:
        if time != self._looks_at:
            return
        desired = max(0, min(MOST_PODS, self._scaler.look(self)))
        if desired != self.replicas:
            self.outcome.changes += 1
            self._scale(desired)
        self._schedule_look(self._scaler.next_look(self))

    def _scale(self, desired: int) -> None:
        standing = [pod for pod in self.pods if not pod.leaving]
        for _ in range(desired - len(standing)):
            pod = Pod(self.now)
            self.pods.append(pod)
            self._at(self.now + COLD_START * self._chance.uniform(0.8, 1.4), "ready", pod)
        if desired < len(standing):
            # As a ReplicaSet does: what doesn't serve first, then by deletion cost, then the youngest.
            standing.sort(key=lambda pod: (pod.ready, self._scaler.spares_busy and bool(pod.running), -pod.created))
            for pod in standing[: len(standing) - desired]:
                pod.leaving = True
                if pod.running:
                    self._at(self.now + self._scaler.grace, "kill", pod)
                else:
                    self._remove(pod)
        self.replicas = desired

    def _on_ready(self, pod: Pod) -> None:
        if not pod.leaving:
            pod.ready = True
            self._free.extend([pod] * THREADS)
            self._hand_out()

    def _hand_out(self) -> None:
        while self.waiting and self._free:
            pod = self._free.popleft()
            if pod.leaving:
                continue
            job = self.waiting.popleft()
            if job.started is None:
                job.started = self.now
                self.outcome.waits.append(self.now - job.arrival.due)
            number = next(self._numbers)
            pod.running[number] = (job, self.now)
            self._at(self.now + job.arrival.takes, "end", (pod, number))

    def _on_end(self, what: tuple[Pod, int]) -> None:
        pod, number = what
        run = pod.running.pop(number, None)
        if run is None:
            return
        self.ended += 1
        self.recent.append(self.now - run[1])
        if not pod.leaving:
            self._free.append(pod)
            self._hand_out()
        elif not pod.running:
            self._remove(pod)

    def _on_kill(self, pod: Pod) -> None:
        if pod.gone:
            return
        self.outcome.killed += len(pod.running)
        # They begin anew, before all others.
        self.waiting.extendleft(job for job, _ in pod.running.values())
        pod.running.clear()
        self._remove(pod)
        self._hand_out()

    def _remove(self, pod: Pod) -> None:
        if not pod.gone:
            pod.gone = True
            self.pods.remove(pod)
            self.outcome.pod_seconds += self.now - pod.created
