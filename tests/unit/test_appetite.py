"""How many jobs a worker holds: by the rate at which it finishes them."""

from __future__ import annotations

import pytest

from jobyard.broker.appetite import BUDGET, LARGEST, WINDOW, Appetite


def after(appetite: Appetite, rate: float, *, windows: int = 3, start: float = 100.0) -> float:
    """Let it finish jobs at a rate for a while. Returns the time then."""
    now = start
    appetite.begin(now)
    for _ in range(windows):
        for _ in range(round(rate * WINDOW)):
            appetite.finished()
        now += WINDOW * 1.001  # Sums of floats fall short.
        appetite.capacity(now)
    return now


@pytest.mark.parametrize("slots", [1, 8])
def test_at_first_jobs_are_taken_one_by_one(slots: int) -> None:
    assert Appetite(slots).capacity(100.0) == slots


@pytest.mark.parametrize("rate", [1_000, 10_000, 40_000])
def test_it_holds_twenty_milliseconds_of_work(rate: int) -> None:
    appetite = Appetite(1)
    now = after(appetite, rate)
    assert appetite.capacity(now) == pytest.approx(rate * BUDGET, abs=1 + rate * BUDGET / 100)


def test_long_jobs_are_taken_one_by_one_for_each_thread() -> None:
    appetite = Appetite(4)
    appetite.begin(100.0)
    for second in range(1, 5):
        appetite.finished()
        assert appetite.capacity(100.0 + second) == 4


def test_there_is_an_upper_bound() -> None:
    appetite = Appetite(2)
    assert appetite.capacity(after(appetite, 10_000_000)) == LARGEST


def test_a_long_job_after_many_short_ones_makes_it_careful_within_a_window() -> None:
    appetite = Appetite(1)
    now = after(appetite, 20_000)
    assert appetite.capacity(now) > 100
    assert appetite.capacity(now + 10 * WINDOW) == 1


def test_a_pause_without_jobs_does_not_count() -> None:
    appetite = Appetite(1)
    now = after(appetite, 20_000)
    before = appetite.capacity(now)
    appetite.begin(now + 60)
    assert appetite.capacity(now + 60) == before


def test_what_is_held_is_taken_off() -> None:
    appetite = Appetite(4)
    assert [appetite.want(held, 100.0) for held in (0, 3, 4, 9)] == [4, 1, 0, 0]
