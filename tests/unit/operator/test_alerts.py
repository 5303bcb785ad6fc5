"""What the operator serves at /metrics, and the alerts that look at it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from jobyard_operator.control.metrics import Metrics
from jobyard_operator.core.observation import Decision, Memory, Observation
from jobyard_operator.core.reasons import Reason
from jobyard_operator.kubernetes.cache import Key
from jobyard_operator.resources.jobschedule import Counters, JobScheduleStatus
from support import alerts
from support.chart import ROOT, one, render

QUEUE = 'jobqueue="emails",jobqueue_namespace="shop"'
SCHEDULE = 'jobschedule="nightly",jobschedule_namespace="shop"'
KEY = Key("shop", "emails")


@dataclass
class Served:
    """What somebody reads."""

    metrics: Metrics

    def __getitem__(self, name: str) -> dict[str, float]:
        """The series of a metric: labels, sorted by name → value."""
        found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", self.metrics.text().decode(), re.MULTILINE)
        return {",".join(sorted(labels.split(","))): float(value) for labels, value in found}

    @property
    def names(self) -> set[str]:
        return set(re.findall(r"^# TYPE (\S+)", self.metrics.text().decode(), re.MULTILINE))


@pytest.fixture
def served() -> Served:
    """Those of an operator that has looked at one queue and one schedule."""
    metrics = Metrics({("get", "pods"): 1})
    decision = Decision(desired=3, reason=Reason.AT_MAX, sentence="", inputs={"needed": 7}, memory=Memory())
    metrics.decided(KEY, 30, Observation(now=0, waiting=12, dead=4, oldest=75), decision, held=False)
    status = JobScheduleStatus(
        last_schedule_time="2026-11-24T02:30:00Z",
        next_schedule_times=["2026-11-25T02:30:00Z", "2026-11-26T02:30:00Z"],
        active_runs=1,
        counters=Counters(fired=5, succeeded=3, failed=1, missed=2),
    )
    metrics.scheduled(Key("shop", "nightly"), status)
    return Served(metrics)


def test_a_queue_is_told_with_its_dead_letters(served: Served) -> None:
    jobs = served["jobyard_queue_jobs"]
    assert jobs[f'{QUEUE},state="waiting"'] == 12
    assert jobs[f'{QUEUE},state="dead"'] == 4
    assert served["jobyard_queue_needed_replicas"] == {QUEUE: 7}


def test_a_schedule_is_told_with_its_times_and_counts(served: Served) -> None:
    assert served["jobyard_schedule_last_tick_timestamp_seconds"] == {SCHEDULE: 1_795_487_400}
    assert served["jobyard_schedule_next_tick_timestamp_seconds"] == {SCHEDULE: 1_795_573_800}
    assert served["jobyard_schedule_last_success_timestamp_seconds"] == {}, "none has completed yet"
    assert served["jobyard_schedule_active_runs"] == {SCHEDULE: 1}
    counts = {
        name: served[f"jobyard_schedule_{name}_total"][SCHEDULE]
        for name in ("fired", "succeeded", "failed", "cancelled", "skipped", "missed")
    }
    assert counts == {"fired": 5, "succeeded": 3, "failed": 1, "cancelled": 0, "skipped": 0, "missed": 2}


def test_what_is_gone_is_told_no_more(served: Served) -> None:
    served.metrics.forget_schedule(Key("shop", "nightly"))
    served.metrics.forget(KEY)
    assert "shop" not in served.metrics.text().decode()


def test_a_former_leader_tells_nothing_of_what_another_one_looks_after(served: Served) -> None:
    served.metrics.forget_decisions()
    assert "shop" not in served.metrics.text().decode()


@pytest.mark.parametrize("alert", alerts.alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_looks_at_what_is_served(served: Served, alert: dict[str, object]) -> None:
    looked = set(re.findall(r"\bjobyard_\w+", str(alert["expr"])))
    assert looked
    assert looked <= served.names
    for label, value in re.findall(r'(\w+)=~?"([^"]*)"', str(alert["expr"])):
        for one_of_them in value.split("|"):
            assert f'{label}="{one_of_them}"' in served.metrics.text().decode()
    # What its sentences fill in are labels that its series have, or that their scraping adds.
    for label in re.findall(r"\$labels\.(\w+)", str(alert["annotations"])):
        series = served.metrics.text().decode()
        assert all(re.search(rf"^{name}{{.*{label}=", series, re.MULTILINE) for name in looked)


def test_each_alert_is_documented() -> None:
    documented = (ROOT / "docs" / "operator" / "running.md").read_text(encoding="utf-8")
    assert [alert["alert"] for alert in alerts.alerts() if f"`{alert['alert']}`" not in documented] == []


def test_each_series_is_documented(served: Served) -> None:
    documented = (ROOT / "docs" / "operator" / "running.md").read_text(encoding="utf-8")
    told = {name for name in served.names if name.startswith(("jobyard_queue_", "jobyard_schedule_"))}
    assert sorted(name for name in told if name not in documented and not name.endswith("_created")) == []


def test_the_chart_has_them_for_prometheus_operator_if_asked() -> None:
    assert not [each for each in render() if each["kind"] == "PrometheusRule"]
    rule = one(render({"metrics": {"prometheusRule": {"enabled": True}}}), "PrometheusRule")
    assert [alert for group in rule["spec"]["groups"] for alert in group["rules"]] == alerts.alerts()
