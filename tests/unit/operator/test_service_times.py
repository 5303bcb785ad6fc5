"""The mean time of runs, from what workers say at two moments."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobyard.broker.workers import WorkerInfo
from jobyard_operator.redis.service_times import service_times

NOW = 1_800_000_000_000


def worker(token: str = "a", runs: int = 0, seconds: float = 0.0, **more: Any) -> WorkerInfo:
    fields: dict[str, Any] = {
        "name": token, "pod": None, "queues": ["q"], "actors": [], "threads": 1, "running": [], "draining": False,
        "completed": runs, "failed": 0, "seconds": seconds, "started_at": NOW - 60_000, "version": "1", "token": token,
        "seen_at": NOW, "expires_at": NOW + 15_000,
    }  # fmt: skip
    return WorkerInfo(**(fields | more))


@pytest.mark.parametrize(
    ("before", "now", "times"),
    [
        ([], [], {}),
        ([worker(runs=3, seconds=9)], [worker(runs=3, seconds=9)], {}),
        ([worker(runs=3, seconds=9)], [worker(runs=5, seconds=10)], {"q": 0.5}),
        ([worker(completed=1, seconds=4)], [worker(completed=2, failed=1, seconds=8)], {"q": 2}),
        ([worker("a"), worker("b")], [worker("a", 1, 10), worker("b", 9, 20)], {"q": 3}),
        ([worker("a"), worker("b", 5, 50)], [worker("a", 1, 10)], {"q": 10}),
        ([], [worker(runs=4, seconds=2)], {"q": 0.5}),
        ([worker("a", 1, 1)], [worker("a", 1, 1), worker("new", 2, 6, started_at=NOW + 10)], {"q": 3}),
        ([worker("a", 1, 1)], [worker("a", 1, 1), worker("silent", 2, 6)], {}),
        ([worker(runs=9, seconds=90)], [worker(runs=2, seconds=4)], {"q": 2}),
        ([worker()], [worker(runs=9, queues=["q", "r"], seconds=9)], {}),
        ([worker()], [worker(runs=9)], {}),
        ([worker("a"), worker("b", queues=["r"])], [worker("a", 1, 1), worker("b", 1, 7, queues=["r"])], {"q": 1, "r": 7}),
    ],
    ids=[
        "nobody", "nothing ended", "what ended since", "failed ones too", "all processes", "one is gone", "no list before",
        "a new one", "one that was silent", "begun anew", "several queues", "an older version", "each queue by itself",
    ],
)  # fmt: skip
def test_the_mean_of_what_ended_meanwhile(
    before: list[WorkerInfo], now: list[WorkerInfo], times: dict[str, float]
) -> None:
    assert service_times(before, now) == times


COUNTS = st.tuples(st.integers(0, 10**6), st.floats(0, 10**6))


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=2), COUNTS), st.dictionaries(st.text("abc", max_size=2), COUNTS)
)
@example(before={}, now={"": (2, 5e-324)})
def test_whatever_they_say_a_mean_is_no_longer_than_all_of_it(
    before: dict[str, tuple[int, float]], now: dict[str, tuple[int, float]]
) -> None:
    found = service_times(
        [worker(token, *said) for token, said in before.items()], [worker(token, *said) for token, said in now.items()]
    )
    for time in found.values():
        assert 0 < time <= sum(seconds for _, seconds in now.values()) + 1e-6


@given(st.lists(st.floats(0.001, 1000), min_size=1), st.integers(0, 99), st.floats(0, 1000))
def test_runs_of_one_process_give_their_mean(runs: list[float], earlier: int, took: float) -> None:
    found = service_times([worker(runs=earlier, seconds=took)], [worker("a", earlier + len(runs), took + sum(runs))])
    assert found["q"] == pytest.approx(sum(runs) / len(runs), rel=1e-6)
