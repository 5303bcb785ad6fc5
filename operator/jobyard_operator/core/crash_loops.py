"""A queue whose pods all crash is held, so that they eat no attempts; and goes on when there is something new to try. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from jobyard_operator.core.pods import PodFacts

#: Seconds of the first hold; each one that helped nothing is followed by one of twice the length, up to the longest. An image
#: of which some job was completed is never held for longer than the first one.
FIRST: Final = 60.0
LONGEST: Final = 900.0
#: A pod whose worker crashed in the last so many seconds proves nothing by being ready again.
DOUBT: Final = 60.0
#: Seconds by which the times in a pod's status may be too early: they are cut off.
_CUT_OFF: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """When a queue was held last, if ever. Times in seconds since 1970.

    Attributes:
        revision: of what crashed: the JobQueue's generation and its Secret's version. Another one ends the hold.
        reason: which image, and how it ended; '': this revision was not held yet.
        until: then it was let go on, to try. Only crashes after that lead to the next hold.
        times: how often in a row it was held for this revision.
        proven: some job has completed under this revision. What crashes then is one job rather than the image: it has pauses of
            its own between its attempts, and the others shall not wait for long.
    """

    revision: str
    reason: str
    until: float
    times: int = 1
    proven: bool = False


def judged(
    hold: Hold | None, pods: Sequence[PodFacts], revision: str, completed: bool, now: float
) -> tuple[Hold, bool]:
    """The hold to remember, and whether the queue is held now.

    Args:
        completed: some job has completed since the last look, so that the pods are of some use.
    """
    if hold is None or hold.revision != revision:
        # What crashed before says nothing about it.
        return Hold(revision=revision, reason="", until=now, times=0), False
    if hold.times and now < hold.until:
        return hold, True
    living = [pod for pod in pods if not pod.terminating and not pod.finished]
    newest = max(living, key=lambda pod: pod.created).template if living else ""
    crashing = [pod for pod in living if pod.failing and pod.template == newest and _since(pod, hold.until)]
    serving = any(pod.ready and not _since(pod, now - DOUBT) for pod in living)
    if completed:
        hold = replace(hold, proven=True)
        return (hold if crashing else replace(hold, reason="", times=0)), False
    if crashing and not serving:
        pause = FIRST if hold.proven else min(FIRST * 2**hold.times, LONGEST)
        return replace(hold, reason=crashing[0].failure, until=now + pause, times=hold.times + 1), True
    return hold, False


def failure(pods: Sequence[PodFacts]) -> str | None:
    """Why no pod serves, where the reason won't go away by itself. None: some do, or they are just starting."""
    if any(pod.ready for pod in pods):
        return None
    return next((pod.failure for pod in pods if pod.failing and not pod.terminating and not pod.finished), None)


def _since(pod: PodFacts, time: float) -> bool:
    """Whether its worker has crashed after this time."""
    return pod.crashed_at is not None and pod.crashed_at + _CUT_OFF > time
