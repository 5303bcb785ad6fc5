"""How often a job is tried, and how long it waits in between."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.retry import RetryPolicy

SEED = RetryPolicy(attempts=3, initial=2, factor=2)


def waits(policy: RetryPolicy, rand: float = 0.0) -> list[float]:
    found = (policy.wait(attempt, lambda: rand) for attempt in itertools.count(1))
    return list(itertools.takewhile(lambda wait: wait is not None, found))  # type: ignore[arg-type]


def test_three_attempts_wait_two_and_four_seconds() -> None:
    assert waits(SEED) == [2, 4]


def test_one_attempt_is_never_retried() -> None:
    assert waits(RetryPolicy(attempts=1)) == []


def test_no_wait_is_longer_than_the_maximum() -> None:
    assert waits(RetryPolicy(attempts=6, initial=1, factor=10, maximum=50)) == [1, 10, 50, 50, 50]


def test_without_a_limit_it_goes_on_for_ever_and_never_overflows() -> None:
    policy = RetryPolicy(attempts=None, initial=1, factor=1e6, maximum=3600)
    assert policy.wait(1_000_000, lambda: 0) == 3600
    assert policy.most_attempts() is None


def test_jitter_shortens_by_up_to_its_part() -> None:
    policy = RetryPolicy(attempts=2, initial=10, jitter=0.3)
    assert waits(policy, 0.0) == [10]
    assert waits(policy, 1.0) == pytest.approx([7])


@given(
    attempt=st.integers(1, 10_000),
    initial=st.floats(0, 1e6),
    factor=st.floats(1, 1e6),
    maximum=st.floats(0, 1e9),
    jitter=st.floats(0, 1),
    rand=st.floats(0, 1, exclude_max=True),
)
def test_every_wait_is_a_number_from_nothing_to_the_maximum(
    attempt: int, initial: float, factor: float, maximum: float, jitter: float, rand: float
) -> None:
    policy = RetryPolicy(None, initial, factor, maximum, jitter)
    wait = policy.wait(attempt, lambda: rand)
    assert wait is not None
    assert math.isfinite(wait)
    assert 0 <= wait <= maximum


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"initial": -1}, {"maximum": -1}, {"factor": 0.5}, {"jitter": 1.5}, {"jitter": -0.1}]
)
def test_a_senseless_policy_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


def test_exceptions_have_policies_of_their_own_and_the_first_that_fits_counts() -> None:
    slow = RetryPolicy(attempts=10, initial=60)
    policy = SEED.never(KeyError).on((OSError, LookupError), slow)
    assert policy.for_error(ValueError()) is policy
    assert policy.for_error(KeyError()) is None
    assert policy.for_error(IndexError()) is slow
    assert policy.for_error(ConnectionError()) is slow
    assert SEED.for_error(KeyError()) is SEED, "the policy that it was made from has not changed"


@pytest.mark.parametrize(
    ("policy", "most"),
    [
        (SEED, 3),
        (SEED.never(KeyError), 3),
        (SEED.on(OSError, RetryPolicy(attempts=9)), 9),
        (SEED.on(OSError, RetryPolicy(attempts=None)), None),
    ],
)
def test_the_most_attempts_are_those_of_the_most_patient_rule(policy: RetryPolicy, most: int | None) -> None:
    assert policy.most_attempts() == most
