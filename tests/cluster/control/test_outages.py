"""What happens while something is away, frozen or emptied; and that everything goes on by itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from cluster.control.process import OperatorProcess
from cluster.control.scene import Scene
from cluster.valkey import Valkey
from jobyard.broker import JobyardBroker
from jobyard_operator.redis.epoch import Superseded
from jobyard_operator.redis.policy import hold
from support.ledger import audit
from support.waiting import eventually

pytestmark = pytest.mark.timeout(240)


def _kept(scene: Scene, field: str) -> Any:
    """What the operator keeps in Redis beside the queue."""
    return scene.broker.server.client().hget(scene.broker.keys("work")["operator"], field)


def _generation(scene: Scene) -> int:
    """How often the Deployment's spec was changed."""
    return int(scene.deployment()["metadata"]["generation"])


def test_a_leader_that_was_stopped_and_goes_on_does_nothing_twice(
    scene: Scene, start_operator: Callable[..., OperatorProcess]
) -> None:
    old, standby = scene.operator, start_operator()
    scene.jobqueue(scaling={"max": 1, "idleTimeoutSeconds": 600})
    eventually(lambda: scene.condition("Ready").get("reason") == "ScaledToZero", 20)
    eventually(standby.metrics, 20, what="the standby serves its metrics")
    before, epoch = _generation(scene), int(_kept(scene, "epoch"))

    old.freeze()
    frozen = time.monotonic()
    scene.send(range(10), 0.1)
    eventually(standby.leads, 15, what="the standby takes over")
    assert time.monotonic() - frozen < 15
    eventually(lambda: scene.replicas() == 1, 10, what="it acts")
    eventually(lambda: int(_kept(scene, "epoch")) == epoch + 1, 10)
    assert _generation(scene) == before + 1

    old.thaw()
    eventually(lambda: any(one.endswith("leads no more.") for one in old.messages()), 10, what="the old one sees it")
    with pytest.raises(Superseded):
        hold(scene.broker, "work", epoch, "an order of the old one")
    eventually(lambda: scene.completed() == 10, 60, what="all jobs are done")
    eventually(lambda: scene.status().get("active", 0) == 0 and scene.condition("Ready").get("status") == "True", 20)
    assert not old.leads()
    assert standby.leads()
    assert int(_kept(scene, "epoch")) == epoch + 1
    assert _generation(scene) == before + 1, "scaled once"
    (event,) = scene.events("ScaledUp")
    assert event.get("series") is None
    assert scene.broker.inspector.stats("work").counts["started"] == 10


def test_an_operator_that_is_killed_again_and_again_ends_where_it_should(scene: Scene) -> None:
    scene.operator.stop()
    # Under its old name, it needs not wait until its own Lease is over.
    scene.operator.identity = "the-same"
    scene.operator.start()
    scene.operator.wait_until_it_leads()
    moments = random.Random(5)
    scene.jobqueue(scaling={"max": 2, "idleTimeoutSeconds": 2, "stabilizationSeconds": 2, "jobsPerReplica": 20})
    sent = 0
    for moment in (moments.uniform(0, 1), moments.uniform(1, 4), moments.uniform(4, 8)):
        scene.send(range(sent, sent + 40), 0.2)
        sent += 40
        time.sleep(moment)  # It is killed at any moment.
        scene.operator.kill()
        scene.operator.start()
        eventually(lambda sent=sent: scene.completed() == sent, 60, what="all jobs are done")
        scene.operator.kill()
        scene.operator.start()
    eventually(lambda: scene.replicas() == 0, 60, what="back to zero")
    eventually(lambda: scene.condition("Ready").get("reason") == "ScaledToZero", 30, what="it says so")
    stats = scene.broker.inspector.stats("work")
    assert (stats.counts["accepted"], stats.counts["started"], stats.completed) == (sent, sent, sent)
    audit(scene.broker)


@pytest.mark.harms_cluster("the API server stands still")
def test_while_the_api_server_is_away_workers_go_on_and_nothing_is_scaled_blindly(scene: Scene) -> None:
    scene.jobqueue(scaling={"min": 1, "max": 1, "idleTimeoutSeconds": 2, "stabilizationSeconds": 2})
    scene.wait_for_pods(1)
    scene.send(range(150), 0.5)  # Some 37 s of work.
    eventually(scene.completed, 20, what="work has begun")
    pod, before = scene.ready(), _generation(scene)

    scene.cluster.api.freeze()
    frozen = time.monotonic()
    try:
        done = scene.completed()
        eventually(lambda: not scene.operator.leads(), 12, what="who can't renew leads no more")
        eventually(lambda: time.monotonic() - frozen > 30, 31, what="it is away for half a minute")
        assert scene.completed() > done + 80, "workers went on"
    finally:
        scene.cluster.api.thaw()
    eventually(scene.operator.leads, 30, what="the operator leads again")
    eventually(lambda: scene.completed() == 150, 60, what="all jobs are done")
    eventually(lambda: scene.status().get("active") == 0 and scene.condition("Ready").get("status") == "True", 30)
    assert scene.ready() == pod
    assert _generation(scene) == before
    stats = scene.broker.inspector.stats("work")
    assert stats.counts["started"] == 150


def test_while_redis_is_away_replicas_stay_or_fall_back_and_others_are_not_disturbed(
    scene: Scene, start_valkey: Callable[[], Valkey]
) -> None:
    elsewhere = start_valkey()
    scene.cluster.apply(scene.namespace, elsewhere.secret("other"))
    others = JobyardBroker(elsewhere.url, middleware=[])
    scene.jobqueue(scaling={"min": 0, "max": 2, "jobsPerReplica": 100, "fallback": {"afterSeconds": 8, "replicas": 2}})
    scene.jobqueue("other", redis={"secretRef": {"name": "other"}}, scaling={"max": 1})
    scene.send(range(40), 0.5)
    eventually(lambda: scene.completed() > 2, 60, what="work has begun")
    assert scene.replicas() == 1

    scene.valkey.kill()
    killed = time.monotonic()
    eventually(lambda: scene.condition("MetricsAvailable").get("status") == "False", 15)
    ready = scene.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "RedisUnreachable")
    assert scene.replicas() == 1, "until the time of the fallback, replicas stay"
    assert time.monotonic() - killed < 8
    try:
        away, scene.broker = scene.broker, others
        scene.send(range(3))
        eventually(lambda: scene.completed() == 3, 30, what="the other queue is served meanwhile")
        eventually(lambda: scene.condition("Ready", "other").get("status") == "True", 15)
    finally:
        scene.broker = away
    eventually(lambda: scene.replicas() == 2, 20, what="the fallback")
    eventually(lambda: scene.status()["decision"]["reason"] == "Fallback", 5)

    scene.valkey.start()
    eventually(lambda: scene.condition("MetricsAvailable").get("status") == "True", 30, what="it sees Redis again")
    eventually(lambda: scene.completed() == 40, 60, what="all jobs are done")
    eventually(lambda: scene.condition("Ready").get("status") == "True", 60)
    audit(scene.broker)
    others.close()


def test_a_redis_that_was_emptied_gets_its_policy_again_and_the_queue_goes_on(scene: Scene) -> None:
    scene.jobqueue(scaling={"min": 1, "max": 1}, policy={"concurrency": 2})
    client, policy = scene.broker.server.client(), scene.broker.keys("work")["policy"]
    scene.wait_for_pods(1)
    eventually(lambda: _kept(scene, "memory"), 10)
    assert client.hget(policy, "concurrency") == b"2"

    client.flushall()
    scene.send(range(4))
    eventually(lambda: client.hget(policy, "concurrency") == b"2", 40, what="the policy is there again")
    eventually(lambda: scene.completed() == 4, 60, what="the queue is served")
    assert _kept(scene, "memory")
    assert int(_kept(scene, "epoch")) > 0
