"""A queue whose pods all crash is held, so that they eat no attempts; and goes on when there is something new to try. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobyard_operator.core.pods import PodFacts

#: So often a pod's worker was started again, at least, before its queue is held.
RESTARTS: Final = 1
#: Seconds of the first hold; each one that helped nothing is followed by one of twice the length, up to the longest.
FIRST: Final = 60.0
LONGEST: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A queue that is held, or was not long ago. Times in seconds since 1970.

    Attributes:
        revision: of what crashed: the JobQueue's generation and its Secret's version. Another one ends the hold.
        reason: which image, and how it ended.
        until: then it is let go on, to try again.
        times: how often in a row it was held for this revision.
    """

    revision: str
    reason: str
    until: float
    times: int = 1


def judged(
    hold: Hold | None, pods: Sequence[PodFacts], revision: str, completed: bool, now: float
) -> tuple[Hold | None, bool]:
    """The hold to remember, and whether the queue is held now.

    Args:
        completed: some job has completed since the last look, so that the pods are of some use.
    """
    if hold is not None and hold.revision != revision:
        hold = None
    failing = [pod for pod in pods if not pod.terminating and not pod.finished and pod.failing]
    crashing = [pod for pod in failing if pod.restarts >= RESTARTS]
    serving = any(pod.ready for pod in pods)
    if hold is not None and now < hold.until:
        return hold, True
    if completed and not crashing:
        return None, False
    if crashing and not serving and not completed:
        times = hold.times + 1 if hold is not None else 1
        pause = min(FIRST * 2 ** (times - 1), LONGEST)
        return Hold(revision=revision, reason=crashing[0].failure, until=now + pause, times=times), True
    return hold, False


def failure(pods: Sequence[PodFacts]) -> str | None:
    """Why no pod serves, where the reason won't go away by itself. None: some do, or they are just starting."""
    if any(pod.ready for pod in pods):
        return None
    return next((pod.failure for pod in pods if pod.failing and not pod.terminating and not pod.finished), None)
