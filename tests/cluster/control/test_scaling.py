"""From zero to what is needed in one step, and back; nobody who works is ended."""

from __future__ import annotations

import time

import pytest

from cluster.control.scene import Scene
from support.waiting import eventually

pytestmark = pytest.mark.timeout(180)


def test_a_thousand_jobs_wake_a_queue_at_zero(scene: Scene) -> None:
    scene.jobqueue(scaling={"max": 4, "idleTimeoutSeconds": 5, "stabilizationSeconds": 5, "jobsPerReplica": 250})
    eventually(lambda: scene.condition("Ready").get("reason") == "ScaledToZero", 20, what="it is ready, without pods")
    assert scene.replicas() == 0
    assert scene.pods() == []

    scene.send(range(1000), 0.02)
    sent = time.monotonic()
    eventually(lambda: scene.replicas() == 4, 10, what="straight to the number needed")
    assert time.monotonic() - sent < 2.5
    eventually(lambda: scene.status()["decision"]["reason"] == "JobsPerReplica", 5, what="the status says why")
    eventually(lambda: scene.completed() == 1000, 60, what="all jobs are done")
    eventually(lambda: scene.replicas() == 0, 40, what="back to zero")
    stats = scene.broker.inspector.stats("work")
    assert (stats.lost, stats.counts["started"]) == (0, 1000), "no job was interrupted"
    assert scene.events("ScaledUp")
    assert scene.events("ScaledDown")
