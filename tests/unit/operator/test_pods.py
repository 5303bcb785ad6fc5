"""How pods end, and what that means for the jobs in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from jobyard.worker.statuses import Status
from jobyard_operator.core.last_words import last_error
from jobyard_operator.core.pods import end_of_pod, facts


def pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "emails-worker-1",
            "namespace": "shop",
            "uid": "u1",
            "creationTimestamp": "2026-11-24T10:00:00Z",
            "labels": {"pod-template-hash": "abc"},
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "worker", "image": "shop:1"}]},
        "status": status,
    }


def container(state: dict[str, Any], last: dict[str, Any] | None = None, restarts: int = 0) -> list[dict[str, Any]]:
    return [{"name": "worker", "restartCount": restarts, "state": state, "lastState": last or {}}]


def terminated(code: int, reason: str = "Error", finished: str = "2026-11-24T10:05:10Z") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "finishedAt": finished, "containerID": "c1"}}


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("code", "reason", "kind", "counts"),
    [
        (137, "OOMKilled", "OOMKilled", True),
        (137, "Error", "WorkerDied", True),
        (255, "Error", "WorkerDied", True),
        (255, "Unknown", "NodeLost", False),
        (137, "ContainerStatusUnknown", "NodeLost", False),
        (1, "Error", "WorkerDied", True),
        (0, "Completed", "Stopped", False),
    ],
)
def test_how_a_container_ended(code: int, reason: str, kind: str, counts: bool) -> None:
    (end,) = facts(pod(containerStatuses=container(terminated(code, reason)))).ends.values()
    assert (end.kind, end.counts, end.exit_code, end.node, end.image) == (kind, counts, code, "node-1", "shop:1")
    assert end.before == seconds("2026-11-24T10:05:11Z"), "times are cut off to seconds"
    assert ("signal 9" in end.message) == (kind == "WorkerDied" and code == 137)


def test_a_restarted_container_is_not_meant_with_the_one_before() -> None:
    again = {"running": {"startedAt": "2026-11-24T10:05:10Z"}}
    (end,) = facts(pod(containerStatuses=container(again, terminated(137), 1))).ends.values()
    assert end.before == seconds("2026-11-24T10:05:10Z")
    later = {"running": {"startedAt": "2026-11-24T10:05:30Z"}}
    (end,) = facts(pod(containerStatuses=container(later, terminated(137), 1))).ends.values()
    assert end.before == seconds("2026-11-24T10:05:11Z")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("EvictionByEvictionAPI", "Evicted"),
        ("PreemptionByScheduler", "Preempted"),
        ("DeletionByTaintManager", "NodeLost"),
        ("TerminationByKubelet", "Evicted"),
        ("SomethingNew", "Evicted"),
    ],
)
def test_what_the_cluster_does_costs_no_attempt(reason: str, kind: str) -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "it had to go"}
    end = end_of_pod(pod(conditions=[condition], containerStatuses=container(terminated(137))))
    assert (end.kind, end.counts) == (kind, False)
    assert "it had to go" in end.message


def test_a_pod_that_was_deleted_costs_no_attempt_but_one_that_ran_out_of_memory_does() -> None:
    gone = end_of_pod(pod(phase="Running", containerStatuses=container({"running": {}})))
    assert (gone.kind, gone.counts, gone.before) == ("PodDeleted", False, None)
    killed = end_of_pod(pod(containerStatuses=container(terminated(137, "OOMKilled"))))
    assert (killed.kind, killed.counts, killed.exit_code) == ("OOMKilled", True, 137)


def test_a_deleted_pod_that_could_not_finish_was_stopped() -> None:
    leaving = pod(containerStatuses=container(terminated(137)))
    leaving["metadata"]["deletionTimestamp"] = "2026-11-24T10:05:00Z"
    (end,) = facts(leaving).ends.values()
    assert (end.kind, end.counts) == ("Stopped", False)


def test_why_a_pod_does_not_start() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    crashing = facts(pod(containerStatuses=container(waiting, terminated(1), 3)))
    assert crashing.failing == "CrashLoopBackOff"
    assert crashing.failure == "image shop:1 crashes (exit code 1, 3 times)"
    assert crashing.crashed_at == seconds("2026-11-24T10:05:10Z")
    missing = {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}
    assert facts(pod(containerStatuses=container(missing))).failure == "image shop:1: ErrImagePull: no such image"
    assert facts(pod(containerStatuses=container(missing))).crashed_at is None
    creating = {"waiting": {"reason": "ContainerCreating"}}
    assert facts(pod(containerStatuses=container(creating))).failing == ""
    assert facts(pod()).failing == ""


def test_a_worker_that_gave_up_fails_until_it_serves_again() -> None:
    ended = terminated(Status.CRASHING)
    ended["terminated"]["message"] = (
        '{"level":"error","message":"Giving up: 3 processes died"}\n{"level":"info","message":"Stopped."}'
    )
    for status in (container(ended), container({"running": {}}, ended, 1)):
        found = facts(pod(containerStatuses=status))
        assert found.failing == "GaveUp"
        assert found.failure == "image shop:1 crashes (exit code 4, once): Giving up: 3 processes died"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-24T10:05:14Z"}
    serving = facts(pod(conditions=[ready], containerStatuses=container({"running": {}}, ended, 1)))
    assert (serving.failing, serving.crashed_at) == ("", seconds("2026-11-24T10:05:10Z"))


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("bash: jobyard: not found\n", "bash: jobyard: not found"),
        (
            'vel":"error","message":"cut off"}\n{"level":"error","message":"two\\nlines"}\n'
            '{"level":"info","message":"Stopped."}',
            "two lines",
        ),
        ('{"level":"info","message":"first"}\n[1]\n{"level":"info","message":"last"}\n\n', "last"),
        ("x" * 1000, "x" * 299 + "…"),
    ],
)
def test_the_last_error_of_a_log(log: str, said: str) -> None:
    assert last_error(log) == said


def test_a_pod_serves_from_when_it_is_ready() -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-24T10:00:04Z"}
    serving = facts(pod(conditions=[ready]))
    assert serving.ready
    assert serving.ready_at is not None
    assert serving.ready_at - serving.created == 4
    assert serving.template == "abc"
    leaving = pod(conditions=[ready])
    leaving["metadata"]["deletionTimestamp"] = "2026-11-24T10:05:00Z"
    assert not facts(leaving).ready
