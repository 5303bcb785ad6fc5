"""A queue whose pods crash is held, and goes on when there is something new to try."""

from __future__ import annotations

from dataclasses import replace

from jobyard_operator.core.crash_loops import FIRST, LONGEST, Hold, failure, judged
from jobyard_operator.core.pods import PodFacts

SERVING = PodFacts(
    name="a", uid="a", node="n", created=0, terminating=False, finished=False, ready=True, ready_at=5, template="t",
    cost=0, restarts=0, failing="", failure="", ends={},
)  # fmt: skip
CRASHING = replace(
    SERVING, ready=False, restarts=1, failing="CrashLoopBackOff", failure="image shop:2 crashes (exit code 1, 1 times)"
)
STARTING = replace(SERVING, ready=False)


def test_a_queue_is_held_when_its_pods_crash_and_nothing_gets_done() -> None:
    hold, held = judged(None, [CRASHING], "1", completed=False, now=100)
    assert held
    assert hold == Hold(revision="1", reason=CRASHING.failure, until=100 + FIRST)


def test_it_is_not_held_while_any_pod_serves_or_any_job_gets_done() -> None:
    assert judged(None, [CRASHING, SERVING], "1", completed=False, now=0) == (None, False)
    assert judged(None, [CRASHING], "1", completed=True, now=0) == (None, False)
    assert judged(None, [replace(CRASHING, restarts=0)], "1", completed=False, now=0) == (None, False)
    assert judged(None, [], "1", completed=False, now=0) == (None, False)


def test_a_new_revision_ends_the_hold_at_once() -> None:
    hold, _ = judged(None, [CRASHING], "1", completed=False, now=0)
    assert judged(hold, [STARTING], "1", completed=False, now=1) == (hold, True)
    assert judged(hold, [STARTING], "2", completed=False, now=1) == (None, False)


def test_each_try_that_fails_is_followed_by_a_longer_hold() -> None:
    hold, now, times = None, 0.0, []
    for _ in range(6):
        hold, held = judged(hold, [CRASHING], "1", completed=False, now=now)
        assert held
        assert hold is not None
        times.append(hold.until - now)
        now = hold.until
        # It is let go on …
        assert judged(hold, [SERVING], "1", completed=False, now=now) == (hold, False)
    assert times == [60, 120, 240, 480, 900, LONGEST]
    # … and when a job gets done, all is forgotten.
    assert judged(hold, [SERVING], "1", completed=True, now=now) == (None, False)


def test_the_failure_is_named_while_no_pod_serves() -> None:
    assert failure([CRASHING]) == CRASHING.failure
    assert failure([CRASHING, SERVING]) is None
    assert failure([STARTING]) is None
    assert failure([replace(CRASHING, terminating=True)]) is None
