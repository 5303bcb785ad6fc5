"""When somebody else decides how many there shall be: kubectl, an HPA, KEDA."""

from __future__ import annotations

import json
import re

import pytest

from cluster.control.paper import PaperScene
from support.waiting import eventually

pytestmark = pytest.mark.timeout(180)


def needed(scene: PaperScene) -> float | None:
    """What the operator tells Prometheus."""
    labels = f'jobqueue="jq",jobqueue_namespace="{scene.namespace}"'
    found = re.search(f"^jobyard_queue_needed_replicas{{{labels}}} (.*)$", scene.operator.metrics(), re.MULTILINE)
    return float(found[1]) if found else None


def test_kubectl_scale_is_exact_until_it_is_taken_back(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue()
    paper_scene.settled()
    paper_scene.kubectl("scale", "jobqueue", "jq", "--replicas=3")
    eventually(lambda: paper_scene.replicas() == 3, 10, what="three")
    active = eventually(lambda: said if (said := paper_scene.condition("ScalingActive"))["status"] == "False" else None)
    assert active["reason"] == "Manual"
    eventually(lambda: needed(paper_scene) == 1, 10, what="what the autoscaler would do is told")
    # `kubectl scale` and an HPA read these.
    eventually(lambda: paper_scene.status()["replicas"] == 3, 15)
    scale = json.loads(
        paper_scene.kubectl(
            "get",
            "--raw",
            f"/apis/jobyard.dev/v1alpha1/namespaces/{paper_scene.namespace}/jobqueues/jq/scale",
        )
    )
    assert (scale["spec"], scale["status"]["replicas"]) == ({"replicas": 3}, 3)
    assert scale["status"]["selector"] == "jobyard.dev/jobqueue=jq"

    remove = [{"op": "remove", "path": "/spec/replicas"}]
    paper_scene.kubectl("patch", "jobqueue", "jq", "--type=json", "-p", json.dumps(remove))
    eventually(
        lambda: paper_scene.condition("ScalingActive")["status"] == "True", 10, what="the autoscaler decides again"
    )
    assert paper_scene.replicas() == 3, "what ran is held for a while"


def test_external_replicas_are_left_alone_and_the_need_is_told(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(scaling={"mode": "External", "max": 20})
    paper_scene.settled()
    paper_scene.kubectl("scale", "deployment", "jq-worker", "--replicas=2")
    eventually(lambda: paper_scene.status()["replicas"] == 2, 20)
    paper_scene.send(range(95))
    assert eventually(lambda: needed(paper_scene) == 5, 15, what="the need is told: 95 jobs, 20 for each")
    # Applied again, it stays with whoever has it.
    paper_scene.change({"worker": {"threads": 3}})
    eventually(lambda: paper_scene.status()["observedGeneration"] == paper_scene.get()["metadata"]["generation"], 10)
    eventually(lambda: "5 pods would be needed" in paper_scene.status()["decision"]["message"], 20)
    assert paper_scene.replicas() == 2
    assert paper_scene.events("ScaledUp") == []

    # An HPA or KEDA that scales the JobQueue reads and writes its /scale, which there is when replicas are set once.
    paper_scene.kubectl("scale", "jobqueue", "jq", "--replicas=1")
    paper_scene.kubectl(
        "patch", "jobqueue", "jq", "--subresource=scale", "--type=merge", "-p", '{"spec": {"replicas": 4}}'
    )
    eventually(lambda: paper_scene.replicas() == 4, 10, what="it is passed on")
    assert paper_scene.status()["decision"]["reason"] == "External"
