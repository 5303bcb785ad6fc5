"""Code that is of no use: its queue is held, the JobQueue says why, and a change of it lets the queue go on."""

from __future__ import annotations

import pytest

from cluster.control.scene import CODE, Scene
from support.waiting import eventually

pytestmark = pytest.mark.timeout(240)

_CRASHES = """
import os
import dramatiq

@dramatiq.actor(queue_name="work")
def work(number, seconds=0.0):
    os._exit(9)
"""


def code(scene: Scene, text: str) -> None:
    """What the pods import, from the next one on."""
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": {"jobs.py": text}}
    scene.cluster.apply(scene.namespace, content)


def stalled(scene: Scene, part: str) -> bool:
    found = scene.condition("Stalled")
    return found.get("status") == "True" and part in found["message"]


def test_code_that_crashes_at_each_job_eats_no_more_attempts_until_it_is_fixed(scene: Scene) -> None:
    code(scene, _CRASHES)
    ids = scene.send(range(20))
    scene.jobqueue(scaling={"max": 1})
    eventually(lambda: scene.broker.inspector.stats("work").held, 60, what="the queue is held")
    eventually(lambda: stalled(scene, "(exit code 4, once): Giving up: 3 processes"), 10, what="the condition says why")
    condition = scene.condition("Stalled")
    assert scene.cluster.image in condition["message"]
    assert "exited with status 9" in condition["message"]
    assert scene.condition("Ready")["status"] == "False"
    assert len(scene.events("QueueHeld")) == 1
    # Three processes have taken two jobs each.
    spent = sum(job.attempts for job in map(scene.job, ids))
    assert spent <= 6
    scene.wait_for_pods(1)  # It is started again, and gets no job.
    assert sum(job.attempts for job in map(scene.job, ids)) == spent

    code(scene, CODE.read_text())
    scene.jobqueue(scaling={"max": 1}, worker={"drainTimeoutSeconds": 20})
    eventually(lambda: scene.completed() == 20, 60, what="all jobs are done")
    assert scene.broker.inspector.stats("work").held is None
    assert len(scene.events("QueueResumed")) == 1
    eventually(lambda: scene.condition("Stalled")["status"] == "False", 20, what="the condition says so")


def test_a_module_that_can_not_be_imported_is_named_with_its_error(scene: Scene) -> None:
    code(scene, "import dramatiq\nimport absent_library\n")
    scene.send([1])
    scene.jobqueue(scaling={"max": 1})
    eventually(lambda: stalled(scene, "absent_library"), 60, what="the condition names it")
    assert scene.cluster.image in scene.condition("Stalled")["message"]
    assert scene.job("work-1").attempts == 0
