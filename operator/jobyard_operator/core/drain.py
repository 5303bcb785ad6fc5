"""Which pods go when replicas go down: idle ones are marked first, then the number is lowered. A plan; others carry it out.

A ReplicaSet removes pods that don't serve first, and of the others those with the lowest deletion cost. So costs are
written once, just before, and only where they change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: Of pods that shall go.
LEAVING: Final = -100


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the queue that is not terminating.

    Attributes:
        running: how many jobs it runs; None: it has not told, and is taken to be busy.
        ready: whether it serves.
        created: for the order: the youngest go first.
        cost: its present deletion cost.
    """

    name: str
    running: int | None
    ready: bool
    created: float = 0.0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """Write a pod's deletion cost."""

    pod: str
    cost: int


@dataclass(frozen=True, slots=True)
class Scale:
    """Write the number of replicas, if it is still `expected`."""

    replicas: int
    expected: int


Effect = Mark | Scale


def scale_plan(pods: Iterable[Pod], replicas: int, desired: int) -> list[Effect]:
    """What to do, in this order, to get from `replicas` to `desired`. Never so far down that a busy pod would go."""
    pods = list(pods)
    if desired == replicas:
        return []
    if desired > replicas:
        return [Scale(desired, replicas)]
    # Those that were never created or don't serve go first, whatever their cost is.
    absent = max(0, replicas - len(pods))
    waiting = sum(not pod.ready for pod in pods)
    idle = sorted((pod for pod in pods if pod.ready and pod.running == 0), key=lambda pod: (-pod.created, pod.name))
    leaving = {pod.name for pod in idle[: max(0, replicas - desired - absent - waiting)]}
    least = replicas - absent - waiting - len(leaving)
    desired = max(desired, least)
    if desired == replicas:
        return []
    marks: list[Effect] = [
        Mark(pod.name, cost)
        for pod in sorted(pods, key=lambda pod: pod.name)
        if (cost := _cost(pod, leaving)) != pod.cost
    ]
    return [*marks, Scale(desired, replicas)]


def _cost(pod: Pod, leaving: set[str]) -> int:
    if pod.name in leaving:
        return LEAVING
    if not pod.ready:
        return pod.cost
    # Of busy ones the exact number is of no use: they don't go. So it is not written each time it changes.
    return 0 if pod.running == 0 else 1
