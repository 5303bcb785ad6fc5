"""JobSchedules on a real API server and a real Valkey: every tick once, whoever dies; and what people do to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from cluster.cluster import Cluster
from cluster.control.process import OperatorProcess
from jobyard.broker import JobyardBroker
from support.servers import Server
from support.waiting import eventually

pytestmark = pytest.mark.timeout(150)


@dataclass
class Calendar:
    """A JobQueue whose pods never run, and schedules."""

    cluster: Cluster
    namespace: str
    server: Server
    broker: JobyardBroker
    operator: OperatorProcess

    def apply(self, name: str = "tick", *, actor: str = "tick", **spec: Any) -> None:
        whole = {
            "apiVersion": "jobyard.dev/v1alpha1",
            "kind": "JobSchedule",
            "metadata": {"name": name},
            "spec": {"queueRef": {"name": "jq"}, "template": {"actor": actor, "args": [1]}, **spec},
        }
        self.cluster.apply(self.namespace, whole)

    def queue(self) -> None:
        whole = {
            "apiVersion": "jobyard.dev/v1alpha1",
            "kind": "JobQueue",
            "metadata": {"name": "jq"},
            "spec": {
                "queue": "work",
                "redis": {"url": self.server.url},
                "worker": {"image": "none", "modules": ["jobs"]},
            },
        }
        self.cluster.apply(self.namespace, whole)

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def status(self, name: str = "tick") -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.get(self.namespace, "jobschedule", name).get("status") or {}
        return found

    def condition(self, kind: str, name: str = "tick") -> dict[str, Any]:
        return next((one for one in self.status(name).get("conditions") or () if one["type"] == kind), {})

    def jobs(self) -> list[Any]:
        inspector = self.broker.inspector
        return [*inspector.jobs("work", "waiting"), *inspector.jobs("work", "delayed")]


@pytest.fixture
def calendar(
    control_plane: Cluster,
    kube_namespace: str,
    start_server: Callable[..., Server],
    start_operator: Callable[..., OperatorProcess],
) -> Iterator[Calendar]:
    server = start_server(aof=True)
    broker = JobyardBroker(server.url, middleware=[])
    made = Calendar(control_plane, kube_namespace, server, broker, start_operator())
    made.queue()
    yield made
    broker.close()


def nominal(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_each_tick_enqueues_one_job_also_while_operators_die(
    calendar: Calendar, start_operator: Callable[..., OperatorProcess]
) -> None:
    calendar.apply(schedules=["@every 2s"], startTime="2026-01-01T00:00:00Z")
    eventually(lambda: calendar.condition("Ready").get("status") == "True", 20, what="it is looked after")
    accepted = calendar.broker.inspector.stats("work").counts.get("accepted", 0)
    for _ in range(2):
        calendar.operator.kill()
        # Nobody is there, and ticks become due all the same: they were planned before.
        before = len(due(calendar))
        eventually(lambda before=before: len(due(calendar)) >= before + 2, 20, what="it fires without an operator")
        calendar.operator = start_operator(wait=True)
    assert accepted > 0
    eventually(lambda: len(calendar.status().get("nextScheduleTimes") or ()) == 5, 20, what="the status goes on")
    ids = [job.id for job in calendar.jobs()]
    assert max(Counter(ids).values()) == 1
    times = sorted(job.due_at or job.created_at for job in calendar.broker.inspector.jobs("work", "delayed"))
    assert {second - first for first, second in pairwise(times)} == {2000}, "none is missing, none is twice"


def due(calendar: Calendar) -> list[Any]:
    """Jobs that a worker would run now."""
    now = calendar.broker.inspector.stats("work").now
    waiting = calendar.broker.inspector.jobs("work", "waiting")
    return [*waiting, *(job for job in calendar.broker.inspector.jobs("work", "delayed") if job.due_at <= now)]


def test_planned_ticks_are_taken_back(calendar: Calendar) -> None:
    calendar.apply(schedules=["@every 30s"])
    eventually(calendar.jobs, 20, what="ticks are planned")
    calendar.apply(schedules=["@every 30s"], suspend=True)
    eventually(lambda: not calendar.jobs(), 10, what="a suspended schedule has none")
    assert calendar.condition("Suspended")["status"] == "True"
    calendar.apply(schedules=["@every 30s"], suspend=False)
    eventually(calendar.jobs, 10, what="ticks are planned again")
    calendar.kubectl("delete", "jobschedule", "tick")
    eventually(lambda: not calendar.jobs(), 10, what="a deleted schedule has none")


def test_one_that_is_deleted_while_nobody_looks(
    calendar: Calendar, start_operator: Callable[..., OperatorProcess]
) -> None:
    calendar.apply(schedules=["@every 30s"])
    eventually(calendar.jobs, 20, what="ticks are planned")
    calendar.operator.kill()
    calendar.kubectl("delete", "jobschedule", "tick")
    start_operator(wait=True)
    eventually(lambda: not calendar.jobs(), 30, what="its ticks are taken back by the next operator")


def test_a_run_by_hand_is_one_job(calendar: Calendar) -> None:
    calendar.apply(schedules=["0 0 1 1 *"])
    eventually(lambda: calendar.condition("Ready"), 20)
    for _ in range(2):
        calendar.kubectl("annotate", "jobschedule", "tick", "jobyard.dev/run-now=1", "--overwrite")
    eventually(lambda: len(calendar.broker.inspector.jobs("work", "waiting")) == 1, 10)
    (command,) = eventually(lambda: calendar.status().get("commands"), 10)
    assert (command["annotation"], command["token"], command["outcome"]) == ("jobyard.dev/run-now", "1", "Succeeded")
    calendar.kubectl("annotate", "jobschedule", "tick", "jobyard.dev/run-now=2", "--overwrite")
    eventually(lambda: len(calendar.broker.inspector.jobs("work", "waiting")) == 2, 10)


def test_what_is_wrong_is_said_in_a_sentence_and_mended_by_a_change(calendar: Calendar) -> None:
    calendar.apply(schedules=["0 0 31 2 *"])
    eventually(lambda: calendar.condition("Stalled").get("status") == "True", 20)
    assert "31" in calendar.condition("Stalled")["message"]
    calendar.apply(schedules=["0 0 28 2 *"], queueRef={"name": "other"})
    eventually(lambda: "other" in calendar.condition("Stalled").get("message", ""), 10)
    calendar.apply(schedules=["0 0 28 2 *"])
    eventually(lambda: calendar.condition("Ready").get("status") == "True", 10)
    (first, *_) = calendar.status()["nextScheduleTimes"]
    assert nominal(first) > datetime.now(UTC).timestamp()
