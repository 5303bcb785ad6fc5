"""A JobQueue's policy becomes the broker's, whole, and comes back."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.conftest import build_queue

from jobyard.broker.policy import QueuePolicy
from jobyard_operator.core.policies import queue_policy, resource_policy
from jobyard_operator.resources import JobQueue
from jobyard_operator.resources.jobqueue import JobQueueSpec
from jobyard_operator.resources.policy import CircuitBreaker, Fairness, Kept, KeyLimits, Policy, RateLimit, Retention

counts = st.none() | st.integers(1, 100_000)
rates = st.none() | st.builds(
    RateLimit, jobs=st.integers(1, 10**6), period_seconds=st.integers(1, 86_400), burst=st.integers(1, 100)
)
kept = st.none() | st.builds(Kept, count=st.integers(0, 10**6), age_seconds=counts)
retention = st.builds(Retention, completed=kept, cancelled=kept, dead=kept).filter(lambda whole: whole != Retention())
fairness = st.builds(
    Fairness, weights=st.none() | st.dictionaries(st.text("abc", min_size=1), st.integers(1, 1000), min_size=1)
)
keys = st.builds(KeyLimits, concurrency=counts, rate_limit=rates).filter(lambda limits: limits != KeyLimits())
seconds = st.none() | st.integers(1, 86_400)
breakers = st.builds(CircuitBreaker, failures=counts, pause_seconds=seconds, max_pause_seconds=seconds).filter(
    lambda breaker: breaker != CircuitBreaker()
)
policies = st.builds(
    Policy,
    concurrency=counts,
    rate_limit=rates,
    keys=st.none() | keys,
    when_rate_exceeded=st.sampled_from(["Hold", "Reject"]),
    retention=st.none() | retention,
    circuit_breaker=st.none() | breakers,
) | st.builds(Policy, ageing_seconds=counts)


def spec(policy: Policy) -> JobQueueSpec:
    return build_queue().spec.model_copy(update={"policy": policy})


@given(policies, st.none() | fairness)
def test_a_policy_comes_back_as_it_was(policy: Policy, fair: Fairness | None) -> None:
    if policy.ageing_seconds is None:
        policy = policy.model_copy(update={"fairness": fair})
    assert resource_policy(queue_policy(spec(policy))) == policy


def test_every_part_of_the_brokers_policy_can_be_said() -> None:
    assert set(QueuePolicy.model_fields) <= queue_policy(build_queue().spec).model_fields_set


def test_a_field_that_is_taken_away_goes_back_to_its_default(make_queue: Callable[..., JobQueue]) -> None:
    before = queue_policy(make_queue(policy={"concurrency": 5}).spec)
    after = queue_policy(make_queue().spec)
    assert before.changed_by(after).concurrency is None


def test_pausing_is_part_of_it(make_queue: Callable[..., JobQueue]) -> None:
    assert queue_policy(make_queue(paused=True).spec).paused is True


def test_a_rate_in_fractions_becomes_a_longer_period() -> None:
    assert resource_policy(QueuePolicy(rate=0.5)).rate_limit == RateLimit(jobs=1, period_seconds=2)
    assert resource_policy(QueuePolicy(rate=3, rate_period=500)).rate_limit == RateLimit(jobs=6, period_seconds=1)
