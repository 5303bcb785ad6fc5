"""A queue whose pods crash is held, and goes on when there is something new to try."""

from __future__ import annotations

from dataclasses import replace

from jobyard_operator.core.crash_loops import FIRST, LONGEST, Hold, failure, judged
from jobyard_operator.core.pods import PodFacts

SERVING = PodFacts(
    name="a", uid="a", node="n", created=0, terminating=False, finished=False, ready=True, ready_at=5, template="t",
    cost=0, restarts=0, crashed_at=None, failing="", failure="", ends={},
)  # fmt: skip
CRASHING = replace(
    SERVING, ready=False, restarts=1, crashed_at=100, failing="CrashLoopBackOff",
    failure="image shop:2 crashes (exit code 1, once)",
)  # fmt: skip
STARTING = replace(SERVING, ready=False)
#: Revision 1 is tried since the time 50.
TRIED = Hold(revision="1", reason="", until=50, times=0)
HELD = Hold(revision="1", reason=CRASHING.failure, until=101 + FIRST)


def test_a_queue_is_held_when_its_pods_crash_and_nothing_gets_done() -> None:
    assert judged(TRIED, [CRASHING], "1", completed=False, now=101) == (HELD, True)


def test_it_is_not_held_while_any_pod_serves_or_any_job_gets_done() -> None:
    assert judged(TRIED, [CRASHING, SERVING], "1", completed=False, now=101) == (TRIED, False)
    assert judged(TRIED, [CRASHING], "1", completed=True, now=101) == (replace(TRIED, proven=True), False)
    assert judged(TRIED, [], "1", completed=False, now=101) == (TRIED, False)
    missing = replace(CRASHING, crashed_at=None, failing="ErrImagePull")
    assert judged(TRIED, [missing], "1", completed=False, now=101) == (TRIED, False), "it runs no job anyway"


def test_a_pod_that_is_ready_again_after_a_crash_proves_nothing_for_a_while() -> None:
    again = replace(SERVING, crashed_at=100)
    assert judged(TRIED, [CRASHING, again], "1", completed=False, now=101) == (HELD, True)
    assert judged(TRIED, [replace(CRASHING, crashed_at=170), again], "1", completed=False, now=171) == (TRIED, False)


def test_a_new_revision_ends_the_hold_at_once_and_is_not_judged_by_old_crashes() -> None:
    assert judged(HELD, [STARTING], "1", completed=False, now=102) == (HELD, True)
    fresh, held = judged(HELD, [CRASHING], "2", completed=False, now=102)
    assert (fresh, held) == (Hold(revision="2", reason="", until=102, times=0), False)
    assert judged(fresh, [CRASHING], "2", completed=False, now=103) == (fresh, False)
    later = replace(CRASHING, crashed_at=110)
    assert judged(fresh, [later, replace(STARTING, created=105, template="u")], "2", completed=False, now=111) == (
        fresh, False,
    ), "it is a pod of before"  # fmt: skip
    assert judged(fresh, [later], "2", completed=False, now=111)[1]


def test_each_try_that_fails_is_followed_by_a_longer_hold() -> None:
    hold, now, times = TRIED, 101.0, []
    for _ in range(6):
        hold, held = judged(hold, [replace(CRASHING, crashed_at=now)], "1", completed=False, now=now)
        assert held
        times.append(hold.until - now)
        # It is let go on; nothing has crashed since.
        assert judged(hold, [replace(CRASHING, crashed_at=now)], "1", completed=False, now=hold.until) == (hold, False)
        now = hold.until + 1
    assert times == [60, 120, 240, 480, 900, LONGEST]
    # When a job gets done, all is forgotten.
    after, held = judged(hold, [SERVING], "1", completed=True, now=now)
    assert (after.times, held) == (0, False)


def test_an_image_that_was_of_use_is_not_held_for_long() -> None:
    """It is one job that kills its workers, over and over; the others wait for it as little as may be."""
    hold, now = replace(TRIED, proven=True), 101.0
    for _ in range(3):
        hold, held = judged(hold, [replace(CRASHING, crashed_at=now)], "1", completed=False, now=now)
        assert (held, hold.until - now) == (True, FIRST)
        now = hold.until + 1
    fresh, _ = judged(hold, [SERVING], "2", completed=False, now=now)
    assert not fresh.proven, "of another revision nothing is known"


def test_the_failure_is_named_while_no_pod_serves() -> None:
    assert failure([CRASHING]) == CRASHING.failure
    assert failure([CRASHING, SERVING]) is None
    assert failure([STARTING]) is None
    assert failure([replace(CRASHING, terminating=True)]) is None
