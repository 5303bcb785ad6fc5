"""What a worker process counts, cheaply: plain numbers, a few operations a job. `metrics.py` makes Prometheus series of them."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

#: Upper bounds of the duration histogram, in seconds.
BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    900.0,
)

_NONE: Final = (0, 0.0)

#: By queue and actor: how many runs ended in which way.
Outcomes = dict[tuple[str, str, str], int]


class Tally:
    """Counts by queue and actor. Written by job threads, read by another: single steps are atomic, sums need not be."""

    def __init__(self) -> None:
        self.outcomes: Outcomes = {}
        #: Outcome → how many runs ended so, and their seconds: one pair, so that both are always of the same runs.
        self.totals: dict[str, tuple[int, float]] = {}
        #: (queue, actor) → one count for each bucket, one for longer runs, and the sum of seconds.
        self.durations: dict[tuple[str, str], list[float]] = {}
        #: Operations that came too late, since the job was no longer ours.
        self.stale = 0
        #: Dead letters that had to go because of the retention policy.
        self.evicted = 0

    def ended(self, queue: str, actor: str, outcome: str, seconds: float) -> None:
        """A run has ended."""
        key = (queue, actor, outcome)
        self.outcomes[key] = self.outcomes.get(key, 0) + 1
        runs, total = self.totals.get(outcome, _NONE)
        self.totals[outcome] = (runs + 1, total + seconds)
        pair = (queue, actor)
        counts = self.durations.get(pair)
        if counts is None:
            counts = self.durations[pair] = [0.0] * (len(BUCKETS) + 2)
        counts[bisect_left(BUCKETS, seconds)] += 1
        counts[-1] += seconds
