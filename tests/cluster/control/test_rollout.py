"""Pods that go since somebody wants it so: a rollout, an eviction, fewer replicas. No job loses an attempt by it."""

from __future__ import annotations

import json

import pytest

from cluster.control.scene import Scene
from support.waiting import eventually

pytestmark = pytest.mark.timeout(240)


def evict(scene: Scene, pod: str) -> str:
    """As `kubectl drain` does it. Returns '', or what the API server has against it."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": scene.namespace}}
    path = f"/api/v1/namespaces/{scene.namespace}/pods/{pod}/eviction"
    try:
        scene.cluster.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(eviction))
    except RuntimeError as error:
        return str(error)
    return ""


def test_a_rolling_update_costs_no_job_an_attempt(scene: Scene) -> None:
    scene.jobqueue(scaling={"min": 2, "max": 2})
    before = set(scene.wait_for_pods(2))
    ids = scene.send(range(60), 1)
    eventually(lambda: scene.active() == 4, 20, what="both pods are busy")
    scene.jobqueue(scaling={"min": 2, "max": 2}, worker={"drainTimeoutSeconds": 20})
    eventually(
        lambda: not before & {pod["metadata"]["name"] for pod in scene.pods()} and len(scene.ready()) == 2,
        90, what="the pods are new ones",
    )  # fmt: skip
    eventually(lambda: scene.completed() == 60, 60, what="all jobs are done")
    stats = scene.broker.inspector.stats("work")
    assert stats.counts["started"] - stats.counts.get("returned", 0) == 60
    assert stats.counts.get("recovered", 0) == 0
    assert stats.lost == 0
    assert {job.attempts for job in map(scene.job, ids)} == {1}


def test_evictions_keep_to_the_budget_and_the_evicted_finish_or_give_back(scene: Scene) -> None:
    scene.jobqueue(scaling={"min": 2, "max": 2}, worker={"drainTimeoutSeconds": 5, "threads": 1})
    scene.wait_for_pods(2)
    short, long = (scene.send([number], seconds)[0] for number, seconds in ((1, 5), (2, 15)))
    evicted, other = scene.runner(long), scene.runner(short)
    started = scene.job(long).started_at
    budget = "jsonpath={.status.disruptionsAllowed}"
    eventually(lambda: scene.kubectl("get", "pdb", "jq-worker", "-o", budget) == "1", 20, what="one pod may go")
    assert evict(scene, evicted) == ""
    assert "disruption budget" in evict(scene, other)
    scene.wait_for_pods(2)  # A successor has come.
    assert other in scene.ready()
    (third,) = scene.send([3], 4)
    eventually(lambda: scene.job(long).started_at != started, 20, what="it was given back, and runs again")
    eventually(lambda: scene.job(short).state == "completed", 30)
    eventually(lambda: scene.kubectl("get", "pdb", "jq-worker", "-o", budget) == "1", 30, what="one pod may go again")
    last = scene.runner(third)
    assert evict(scene, last) == ""
    eventually(lambda: scene.job(third).state == "completed", 30, what="it has finished within the drain timeout")
    eventually(lambda: scene.job(long).state == "completed", 60, what="it has run again")
    assert [scene.job(one).attempts for one in (short, long, third)] == [1, 1, 1]
    assert scene.broker.inspector.stats("work").lost == 0


def test_no_busy_pod_is_ended_when_replicas_go_down(scene: Scene) -> None:
    worker = {"threads": 1}
    scene.jobqueue(scaling={"min": 3, "max": 3}, worker=worker)
    scene.wait_for_pods(3)
    brief, long = (scene.send([number], seconds)[0] for number, seconds in ((1, 12), (2, 24)))
    busy = {scene.runner(brief), scene.runner(long)}
    last = scene.runner(long)
    scene.jobqueue(scaling={"min": 1, "max": 1}, worker=worker)
    eventually(lambda: set(scene.ready()) == busy, 20, what="the idle one goes")
    assert scene.job(brief).state == "active"
    assert scene.replicas() == 2
    eventually(lambda: scene.ready() == [last], 30, what="one more goes when it has nothing to do")
    assert scene.job(brief).state == "completed"
    eventually(lambda: scene.job(long).state == "completed", 40)
    assert [scene.job(one).attempts for one in (brief, long)] == [1, 1]
    assert scene.broker.inspector.stats("work").counts["started"] == 2
