"""Workers, pods and nodes that die: their jobs run again soon, and the attempts say what has happened."""

from __future__ import annotations

import time
from datetime import datetime
from importlib import import_module
from typing import Any

import pytest
from typer.testing import CliRunner

from cluster.control.scene import Scene
from jobyard.broker.dispatcher import LEASE
from jobyard.cli.app import app
from support.waiting import eventually

pytestmark = pytest.mark.timeout(240)

#: Seconds from what the pod's status says until the next run, as was promised …
AT_ONCE = 2.0
#: … and by how much that status is behind: its times are cut off to seconds, and the kubelet looks once a second.
BEHIND = 2.0
#: Seconds that a container takes until it fetches jobs.
STARTING = 5.0


def started_again(scene: Scene, job_id: str, after: int, timeout: float = 30) -> float:
    """When a job was started for the next time, in seconds since 1970; `after` is its last start in ms."""
    eventually(lambda: (scene.job(job_id).started_at or 0) > after, timeout, what=f"{job_id} runs again")
    return scene.job(job_id).started_at / 1000  # type: ignore[no-any-return]


def container_ended(scene: Scene, pod: str) -> float:
    """When the last container of a pod ended, as its status says it."""

    def found() -> str | None:
        (worker,) = scene.cluster.get(scene.namespace, "pod", pod)["status"]["containerStatuses"]
        states = (worker.get(name, {}).get("terminated", {}) for name in ("state", "lastState"))
        return next((one["finishedAt"] for one in states if one), None)

    return seconds(eventually(found, 20, what="the status says it") or "")


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def node_of(scene: Scene, pod: str) -> str:
    return str(scene.cluster.get(scene.namespace, "pod", pod)["spec"]["nodeName"])


def cause(scene: Scene, job_id: str) -> dict[str, Any]:
    """Why the first run of a job ended."""
    found: dict[str, Any] = scene.job(job_id).errors[0]
    return found


def fenced(scene: Scene, kind: str) -> float:
    """The metric of jobs that were given back for this cause."""
    labels = f'{{cause="{kind}",jobqueue="jq",jobqueue_namespace="{scene.namespace}"}}'
    line = next(
        (
            one
            for one in scene.operator.metrics().splitlines()
            if one.startswith("jobyard_queue_fenced_jobs_total" + labels)
        ),
        "0",
    )
    return float(line.rpartition(" ")[2])


def test_jobs_of_a_killed_worker_and_of_a_deleted_pod_run_elsewhere_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.jobqueue(scaling={"min": 2, "max": 2})
    scene.wait_for_pods(2)

    (killed,) = scene.send([1], 4)
    pod = scene.runner(killed)
    first = scene.job(killed).started_at
    scene.kill_container(pod)
    again = started_again(scene, killed, first)
    assert again - container_ended(scene, pod) < AT_ONCE + BEHIND
    why = cause(scene, killed)
    assert (why["error"], why["pod"], why["exit_code"]) == ("WorkerDied", pod, 137)
    assert (why["image"], why["node"]) == (scene.cluster.image, node_of(scene, pod))
    eventually(lambda: scene.job(killed).state == "completed", 20, what="its second run completes")
    assert scene.job(killed).attempts == 2, "what it ran may have been the reason"

    scene.wait_for_pods(2)
    (left,) = scene.send([2], 4)
    pod = scene.runner(left)
    first = scene.job(left).started_at
    node = node_of(scene, pod)
    scene.kubectl("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
    deleted = time.time()
    assert started_again(scene, left, first) - deleted < AT_ONCE
    why = cause(scene, left)
    assert (why["error"], why["pod"], why["node"]) == ("PodDeleted", pod, node)
    eventually(lambda: scene.job(left).state == "completed", 20, what="its second run completes")
    assert scene.job(left).attempts == 1, "it has nothing to do with it"

    assert (fenced(scene, "WorkerDied"), fenced(scene, "PodDeleted")) == (1, 1)
    eventually(lambda: len(scene.events("JobsRecovered")) == 2, 10, what="events tell of both")
    assert {one["regarding"]["name"] for one in scene.events("JobsRecovered")} == {"jq"}
    monkeypatch.setenv("JOBYARD_REDIS_URL", scene.valkey.url)
    import_module("jobyard.cli.job")
    shown = CliRunner().invoke(app, ["job", "show", killed]).stdout
    assert "WorkerDied" in shown
    assert scene.cluster.image in shown
    assert scene.broker.inspector.stats("work").lost == 0


def test_a_job_that_takes_all_the_memory_ends_with_that_as_its_cause(scene: Scene) -> None:
    """The kernel ends the container, or one process of it: then the worker says so."""
    scene.jobqueue(scaling={"min": 2, "max": 2}, worker={"resources": {"limits": {"memory": "160Mi"}}, "threads": 1})
    scene.wait_for_pods(2)
    (greedy,) = scene.send([1], 400, actor="devour", max_retries=1)
    eventually(lambda: scene.job(greedy).state == "dead", 60, what="both of its attempts are used up")
    job = scene.job(greedy)
    assert job.attempts == 2
    assert [one["error"] for one in job.errors] == ["OOMKilled", "OOMKilled"]
    assert {one["image"] for one in job.errors} == {scene.cluster.image}
    assert all(one["pod"] and one["node"] and one["exit_code"] == 137 for one in job.errors)
    pause = job.errors[1]["started_at"] - job.errors[0]["ended_at"]
    assert pause / 1000 < AT_ONCE, "the first time it runs again at once"
    assert scene.send([2]), "the worker goes on"
    eventually(lambda: scene.completed() == 1, 60)


def test_without_an_operator_jobs_run_again_when_their_leases_end(scene: Scene) -> None:
    scene.jobqueue(scaling={"min": 2, "max": 2})
    scene.wait_for_pods(2)
    (job_id,) = scene.send([1], 4)
    pod = scene.runner(job_id)
    first = scene.job(job_id).started_at
    scene.operator.kill()
    scene.kill_container(pod)
    killed = time.time()
    assert started_again(scene, job_id, first) - killed < LEASE + 3
    eventually(lambda: scene.job(job_id).state == "completed", 20, what="its second run completes")
    job = scene.job(job_id)
    assert (job.attempts, len(job.errors)) == (2, 1)


@pytest.mark.harms_cluster("kills the node")
def test_when_the_node_is_back_its_jobs_run_again_and_none_is_lost(scene: Scene) -> None:
    scene.jobqueue(scaling={"min": 2, "max": 2})
    scene.wait_for_pods(2)
    ids = scene.send(range(8), 2)
    eventually(lambda: scene.active() == 4, 30, what="both pods are busy")
    scene.cluster.node.kill()
    killed = time.time()
    scene.cluster.node.start()
    eventually(scene.cluster.node_is_ready, 60, what="the node is back")
    eventually(lambda: scene.completed() == 8, 90, what="all jobs are done")
    stats = scene.broker.inspector.stats("work")
    assert (stats.lost, stats.orphaned) == (0, 0)
    jobs = [scene.job(one) for one in ids]
    assert {job.attempts for job in jobs} == {1}, "the jobs have nothing to do with it"
    interrupted = [one for one in jobs if one.errors]
    assert [[one["error"] for one in job.errors] for job in interrupted] == [["NodeLost"]] * 4
    containers = [pod["status"]["containerStatuses"][0] for pod in scene.pods()]
    assert [one["restartCount"] for one in containers] == [1, 1]
    served = max(seconds(one["state"]["running"]["startedAt"]) for one in containers)
    latest = max(job.started_at / 1000 for job in interrupted)
    assert latest < max(killed + LEASE, served) + STARTING
