"""A JobQueue whose jobs shall go with it."""

from __future__ import annotations

import pytest

from cluster.control.paper import PaperScene
from support.waiting import eventually

pytestmark = pytest.mark.timeout(180)


def exists(scene: PaperScene) -> bool:
    return bool(scene.kubectl("get", "jobqueue", "jq", "--ignore-not-found"))


def test_jobs_are_discarded_when_no_pod_is_left(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(deletionPolicy="DiscardJobs", replicas=2)
    eventually(lambda: len(paper_scene.pods()) == 2, 20)
    paper_scene.send(range(50))
    paper_scene.bury(["dead"])
    paper_scene.kubectl("delete", "jobqueue", "jq", "--wait=false")
    eventually(lambda: not exists(paper_scene), 30, what="no finalizer is left behind")
    stats = paper_scene.broker.inspector.stats("work")
    assert (stats.waiting, stats.dead) == (0, 0)
    assert paper_scene.pods() == []


def test_it_waits_for_redis_unless_it_is_told_not_to(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(deletionPolicy="DiscardJobs")
    paper_scene.settled()
    paper_scene.send(range(5))
    paper_scene.valkey.kill()
    paper_scene.kubectl("delete", "jobqueue", "jq", "--wait=false")
    (event,) = eventually(lambda: paper_scene.events("WaitingForRedis"), 30)
    assert "when Redis answers" in event["note"]
    paper_scene.valkey.start()
    eventually(lambda: not exists(paper_scene), 40, what="Redis is back, and the jobs are gone")
    assert paper_scene.broker.inspector.stats("work").waiting == 0

    paper_scene.jobqueue(deletionPolicy="DiscardJobs")
    paper_scene.settled()
    paper_scene.send(range(10, 15))
    paper_scene.valkey.kill()
    paper_scene.kubectl("delete", "jobqueue", "jq", "--wait=false")
    paper_scene.change({"deletionPolicy": "KeepJobs"})
    eventually(lambda: not exists(paper_scene), 30, what="whoever doesn't want to wait need not")
    paper_scene.valkey.start()
    assert paper_scene.broker.inspector.stats("work").waiting == 5
