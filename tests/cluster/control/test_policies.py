"""What a JobQueue says of its queue holds in Redis, at once and whatever becomes of the operator."""

from __future__ import annotations

import time

import pytest

from cluster.control.paper import PaperScene
from jobyard.broker.policy import QueuePolicy
from support.waiting import eventually

pytestmark = pytest.mark.timeout(180)


def policy(scene: PaperScene) -> QueuePolicy:
    return scene.broker.inspector.stats("work").policy


def test_policies_act_at_once_and_survive(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(
        policy={
            "rateLimit": {"jobs": 30, "periodSeconds": 60, "burst": 3},
            "keys": {"concurrency": 1},
            "ageingSeconds": 60,
            "retention": {"completed": {"count": 7, "ageSeconds": 60}},
        }
    )
    paper_scene.settled()
    held = policy(paper_scene)
    assert (held.rate, held.rate_period, held.rate_burst) == (30, 60_000, 3)
    assert (held.key_concurrency, held.ageing, held.completed, held.completed_ttl) == (1, 60, 7, 60_000)

    paper_scene.change({"policy": {"concurrency": 5, "rateLimit": None}})
    changed = time.monotonic()
    eventually(lambda: policy(paper_scene).concurrency == 5, 5, what="the change acts")
    assert time.monotonic() - changed < 2, "within a second, and a second for a busy machine"
    assert policy(paper_scene).rate is None, "what is taken away is the default again"

    # Redis has lost all that it had.
    paper_scene.valkey.command("FLUSHALL")
    eventually(lambda: policy(paper_scene).concurrency == 5, 40, what="it is said again")


def test_paused_by_the_resource_and_by_hand(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(paused=True)
    eventually(lambda: paper_scene.condition("Paused").get("reason") == "SpecPaused", 20)
    assert policy(paper_scene).paused
    paper_scene.change({"paused": False})
    eventually(lambda: paper_scene.condition("Paused")["status"] == "False", 10)
    assert not policy(paper_scene).paused

    paper_scene.broker.pause("work")
    paper_scene.send(range(3))
    eventually(
        lambda: paper_scene.condition("Paused")["reason"] == "PausedByHand", 40, what="the status says who did it"
    )
    # Another operator leaves it alone, and so does a change of something else.
    paper_scene.operator.restart()
    paper_scene.change({"scaling": {"max": 7}})
    paper_scene.settled()
    assert policy(paper_scene).paused
    paper_scene.change({"policy": {"concurrency": 5}})
    eventually(lambda: not policy(paper_scene).paused, 10, what="the JobQueue has the last word")


def test_how_many_dead_letters_are_shown(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(deadLetters={"mirrored": 2})
    paper_scene.settled()
    paper_scene.bury(["one", "two", "three"])
    eventually(lambda: set(paper_scene.dead_jobs()) == {"two", "three"}, 15, what="the newest two")
    paper_scene.change({"deadLetters": {"mirrored": 0}})
    eventually(lambda: paper_scene.dead_jobs() == {}, 15, what="none")
    assert paper_scene.dead() == ["one", "two", "three"], "Redis stays the truth"
