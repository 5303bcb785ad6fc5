"""What Prometheus reads of the queues: the leader's last decisions, and a need that doesn't vanish with Redis."""

from __future__ import annotations

from dataclasses import replace

from jobyard_operator.control.metrics import Metrics
from jobyard_operator.core.observation import Memory, Observation, Rules
from jobyard_operator.core.scaling import decide
from jobyard_operator.kubernetes.cache import Key

KEY = Key("shop", "emails")
SERIES = 'jobyard_queue_needed_replicas{jobqueue="emails",jobqueue_namespace="shop"}'


def told(metrics: Metrics, rules: Rules, look: Observation) -> str:
    metrics.decided(KEY, rules.target_wait, look, decide(rules, look, Memory()), False)
    return metrics.text().decode()


def test_while_redis_is_away_the_need_stays() -> None:
    metrics, rules = Metrics({}), Rules(external=True)
    look = Observation(now=1000.0, waiting=95)
    assert f"{SERIES} 5.0" in told(metrics, rules, look)
    assert f"{SERIES} 5.0" in told(metrics, rules, replace(look, error="Connection refused"))
    assert f"{SERIES} 0.0" in told(metrics, rules, replace(look, waiting=0))


def test_what_was_never_known_is_not_told() -> None:
    look = Observation(now=1000.0, error="Connection refused")
    assert SERIES not in told(Metrics({}), Rules(external=True), look)


def test_who_leads_no_more_tells_nothing_of_the_queues() -> None:
    metrics = Metrics({})
    assert SERIES in told(metrics, Rules(), Observation(now=1000.0, waiting=95))
    metrics.forget_decisions()
    assert "jobqueue=" not in metrics.text().decode()
