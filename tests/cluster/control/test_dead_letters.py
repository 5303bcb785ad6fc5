"""Dead letters by kubectl: commands by annotation, and DeadJob objects that are annotated or deleted."""

from __future__ import annotations

import pytest

from cluster.control.paper import PaperScene
from support.waiting import eventually

pytestmark = pytest.mark.timeout(240)


def waiting(scene: PaperScene) -> int:
    return scene.broker.inspector.stats("work").waiting


def test_commands_are_handled_once_and_their_outcome_is_said(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(replicas=0, deadLetters={"mirrored": 0})
    paper_scene.settled()
    paper_scene.bury(["a1", "a2", "a3"], actor="send_email", error=TimeoutError("the server is away"))
    paper_scene.bury(["b1", "b2", "b3", "b4"], actor="resize")

    done = paper_scene.commanded("retry-dead", "b2, nobody")
    assert (done["outcome"], done["changed"]) == ("Succeeded", 1)
    assert "1 of the ids was no dead letter" in done["message"]
    assert done["finishedTime"]
    assert paper_scene.dead() == ["a1", "a2", "a3", "b1", "b3", "b4"]

    done = paper_scene.commanded("retry-dead", "actor=send_email error=TimeoutError limit=2")
    assert (done["changed"], paper_scene.dead()) == (2, ["a3", "b1", "b3", "b4"])
    done = paper_scene.commanded("discard-dead", "older-than:7d")
    assert (done["outcome"], done["changed"]) == ("Succeeded", 0)
    done = paper_scene.commanded("discard-dead", "actor=resize rate=1000 limit=2")
    assert (done["changed"], paper_scene.dead()) == (2, ["a3", "b4"])
    wrong = paper_scene.commanded("retry-dead", "all limit=many")
    assert (wrong["outcome"], wrong["changed"]) == ("Failed", 0)
    assert "limit=many is no whole number" in wrong["message"]
    (event,) = eventually(lambda: paper_scene.events("CommandFailed"))
    assert event["note"] == wrong["message"]
    assert eventually(lambda: len(paper_scene.events("DeadLettersRetried")) == 2)

    done = paper_scene.commanded("retry-dead", "all")
    assert (done["changed"], paper_scene.dead()) == (2, [])
    # The same value means nothing more: not later, not to another operator. Another one is another command.
    for one in paper_scene.worker.fetch(10):
        paper_scene.worker.done(one)
    paper_scene.bury(["c1"])
    paper_scene.operator.restart()
    paper_scene.annotate(retry_dead="all")
    done = paper_scene.commanded("discard-dead", "ids-of-nobody")
    assert paper_scene.dead() == ["c1"]
    assert paper_scene.commanded("retry-dead", "all #2")["changed"] == 1


def test_an_operator_killed_in_the_middle_of_a_command_goes_on(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(deadLetters={"mirrored": 0})
    paper_scene.settled()
    ids = [f"d{number:02}" for number in range(30)]
    paper_scene.bury(ids)
    paper_scene.annotate(discard_dead="all rate=4")
    eventually(lambda: len(paper_scene.dead()) <= 27, 20, what="it has begun")
    paper_scene.operator.kill()
    left = len(paper_scene.dead())
    assert left > 10
    # Died after the command was given: it is not meant.
    paper_scene.bury(["later"])
    paper_scene.operator.restart()
    done = eventually(
        lambda: told if (told := paper_scene.command("discard-dead")).get("outcome") == "Succeeded" else None, 60
    )
    assert (done["changed"], paper_scene.dead()) == (30, ["later"])
    assert paper_scene.broker.inspector.stats("work").counts["discarded"] == 30


def test_a_command_that_is_taken_back_ends(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(deadLetters={"mirrored": 0})
    paper_scene.settled()
    paper_scene.bury([f"t{number:02}" for number in range(20)])
    paper_scene.annotate(discard_dead="all rate=2")
    eventually(lambda: paper_scene.command("discard-dead").get("changed"), 20, what="it is said how far it is")
    paper_scene.kubectl("annotate", "jobqueue", "jq", "jobyard.dev/discard-dead-")
    told = eventually(
        lambda: told if (told := paper_scene.command("discard-dead")).get("outcome") == "Failed" else None, 20
    )
    left = len(paper_scene.dead())
    assert (told["changed"], left > 0) == (20 - left, True)
    assert "taken back" in told["message"]


def test_objects_are_annotated_to_retry_and_deleted_to_discard(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(replicas=0)
    paper_scene.settled()
    paper_scene.bury(["one", "two", "three"], actor="send_email", error=TimeoutError("the server is away"))
    eventually(lambda: set(paper_scene.dead_jobs()) == {"one", "two", "three"}, 15)
    table = paper_scene.kubectl("get", "deadjobs").splitlines()
    print(*table, sep="\n")
    assert all(word in table[0] for word in ("ACTOR", "ERROR", "ATTEMPTS", "DIED"))
    assert any("send_email" in line and "TimeoutError" in line for line in table)

    paper_scene.kubectl("annotate", "deadjob", "one", "jobyard.dev/retry=true")
    eventually(lambda: "one" not in paper_scene.dead_jobs(), 10, what="the object is gone")
    assert (paper_scene.job("one").state, paper_scene.dead()) == ("waiting", ["two", "three"])
    paper_scene.kubectl("delete", "deadjob", "two")
    eventually(lambda: paper_scene.dead() == ["three"], 10, what="the job is discarded")
    assert eventually(lambda: paper_scene.events("DeadLettersDiscarded"))

    # By hand, meanwhile: whoever comes first.
    paper_scene.broker.dead_letters.retry("work", ["three"])
    paper_scene.kubectl("delete", "deadjob", "three", "--ignore-not-found")
    eventually(lambda: paper_scene.dead_jobs() == {}, 10)
    assert waiting(paper_scene) == 2
    assert paper_scene.broker.inspector.stats("work").counts["discarded"] == 1


def test_only_a_person_that_is_heard_discards(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue()
    paper_scene.settled()
    paper_scene.bury(["one", "two"])
    eventually(lambda: set(paper_scene.dead_jobs()) == {"one", "two"}, 15)
    # While no operator is there.
    paper_scene.operator.stop()
    paper_scene.kubectl("delete", "deadjob", "one")
    paper_scene.operator.restart()
    eventually(lambda: set(paper_scene.dead_jobs()) == {"one", "two"}, 20, what="it comes back")
    # With its JobQueue.
    paper_scene.kubectl("delete", "jobqueue", "jq")
    eventually(lambda: paper_scene.dead_jobs() == {}, 30, what="the objects go with their JobQueue")
    assert paper_scene.dead() == ["one", "two"]


def test_a_namespace_that_is_deleted_discards_nothing(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue()
    paper_scene.settled()
    paper_scene.bury([f"n{number}" for number in range(6)])
    eventually(lambda: len(paper_scene.dead_jobs()) == 6, 15)
    paper_scene.cluster.kubectl("delete", "namespace", paper_scene.namespace, "--wait=true", "--timeout=60s")
    assert len(paper_scene.dead()) == 6


def test_a_jobqueue_is_deleted_and_its_jobs_stay(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue()
    paper_scene.settled()
    paper_scene.send(range(5))
    paper_scene.bury(["dead"], actor="first")
    eventually(lambda: paper_scene.dead_jobs(), 15)
    paper_scene.kubectl("delete", "jobqueue", "jq", "--wait=true", "--timeout=20s")
    for kind in ("deployment", "pdb", "deadjobs", "pods"):
        eventually(lambda kind=kind: not paper_scene.cluster.get(paper_scene.namespace, kind)["items"], 30, what=kind)
    assert (waiting(paper_scene), len(paper_scene.dead())) == (5, 1)
