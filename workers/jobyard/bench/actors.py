"""What the benchmark runs: ordinary actors with the default middleware."""

from __future__ import annotations

import time

import jobyard
from jobyard.bench.fleet import QUEUE


@jobyard.actor(queue_name=QUEUE)
def noop(payload: str) -> None:
    """Does nothing, so that all that is measured is what we add."""


@jobyard.actor(queue_name=QUEUE)
def started(sent_at: int) -> int:
    """Nanoseconds from `sent_at` (`time.time_ns()` of the producer on the same machine) until the job runs."""
    return time.time_ns() - sent_at
