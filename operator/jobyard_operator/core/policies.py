"""A JobQueue's policy as the broker understands it, and back."""

from __future__ import annotations

from jobyard.broker.policy import QueuePolicy
from jobyard_operator.resources.jobqueue import JobQueueSpec
from jobyard_operator.resources.policy import CircuitBreaker, Fairness, Kept, KeyLimits, Policy, RateLimit, Retention


def queue_policy(spec: JobQueueSpec) -> QueuePolicy:
    """The whole policy of the queue. What the resource leaves out is None, so that taking a field away restores the default."""
    policy = spec.policy
    retention = policy.retention or Retention()
    completed, cancelled, dead = (kept or Kept() for kept in (retention.completed, retention.cancelled, retention.dead))
    keys = policy.keys or KeyLimits()
    breaker = policy.circuit_breaker or CircuitBreaker()
    return QueuePolicy(
        paused=spec.paused,
        ageing=policy.ageing_seconds,
        completed=completed.count,
        completed_ttl=_milliseconds(completed.age_seconds),
        cancelled=cancelled.count,
        cancelled_ttl=_milliseconds(cancelled.age_seconds),
        dead=dead.count,
        dead_ttl=_milliseconds(dead.age_seconds),
        concurrency=policy.concurrency,
        rate=policy.rate_limit.jobs if policy.rate_limit else None,
        rate_period=_milliseconds(policy.rate_limit.period_seconds) if policy.rate_limit else None,
        rate_burst=policy.rate_limit.burst if policy.rate_limit else None,
        key_concurrency=keys.concurrency,
        key_rate=keys.rate_limit.jobs if keys.rate_limit else None,
        key_rate_period=_milliseconds(keys.rate_limit.period_seconds) if keys.rate_limit else None,
        key_rate_burst=keys.rate_limit.burst if keys.rate_limit else None,
        rate_mode="reject" if policy.when_rate_exceeded == "Reject" else "hold",
        fair=policy.fairness is not None,
        breaker_failures=breaker.failures,
        breaker_pause=_milliseconds(breaker.pause_seconds),
        breaker_pause_max=_milliseconds(breaker.max_pause_seconds),
        weights={key: float(weight) for key, weight in (policy.fairness.weights or {}).items()} or None
        if policy.fairness
        else None,
    )


def resource_policy(policy: QueuePolicy) -> Policy:
    """As a JobQueue would say it, to take over a queue that was set up by hand. What is not whole is rounded."""
    keys = KeyLimits(
        concurrency=policy.key_concurrency,
        rate_limit=_rate(policy.key_rate, policy.key_rate_period, policy.key_rate_burst),
    )
    kept = [
        Kept(count=count, age_seconds=_seconds(age)) if count is not None or age is not None else None
        for count, age in (
            (policy.completed, policy.completed_ttl),
            (policy.cancelled, policy.cancelled_ttl),
            (policy.dead, policy.dead_ttl),
        )
    ]
    breaker = CircuitBreaker(
        failures=policy.breaker_failures,
        pause_seconds=_seconds(policy.breaker_pause),
        max_pause_seconds=_seconds(policy.breaker_pause_max),
    )
    weights = {key: max(1, round(weight)) for key, weight in (policy.weights or {}).items()}
    return Policy(
        ageing_seconds=_whole(policy.ageing),
        concurrency=policy.concurrency,
        rate_limit=_rate(policy.rate, policy.rate_period, policy.rate_burst),
        keys=keys if keys != KeyLimits() else None,
        when_rate_exceeded="Reject" if policy.rate_mode == "reject" else "Hold",
        fairness=Fairness(weights=weights or None) if policy.fair else None,
        circuit_breaker=breaker if breaker != CircuitBreaker() else None,
        retention=Retention(completed=kept[0], cancelled=kept[1], dead=kept[2]) if any(kept) else None,
    )


def _rate(jobs: float | None, period: int | None, burst: int | None) -> RateLimit | None:
    if jobs is None:
        return None
    milliseconds = period or 1000
    seconds = -(-milliseconds // 1000)
    # In whole periods, and at least one job in each: a slower rate gets a longer period.
    per_period = jobs * seconds * 1000 / milliseconds
    if per_period < 1:
        seconds, per_period = round(seconds / per_period), 1
    return RateLimit(jobs=round(per_period), period_seconds=seconds, burst=burst or 1)


def _milliseconds(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else -(-milliseconds // 1000)


def _whole(number: float | None) -> int | None:
    return None if number is None else max(1, round(number))
