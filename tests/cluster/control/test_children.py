"""The Deployment and the PodDisruptionBudget of a JobQueue: made as rendered, kept so, left alone where others own them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cluster.control.paper import NOWHERE, PaperScene
from cluster.valkey import Valkey
from jobyard.broker import JobyardBroker
from support.hand import message
from support.waiting import eventually

pytestmark = pytest.mark.timeout(180)
CHILD = "jq-worker"


def owners_of_replicas(deployment: Any) -> set[str]:
    return {
        one["manager"]
        for one in deployment["metadata"]["managedFields"]
        if "f:replicas" in one["fieldsV1"].get("f:spec", {})
    }


def managed(scene: PaperScene) -> Any:
    return json.loads(scene.kubectl("get", "deployment", CHILD, "-o", "json", "--show-managed-fields"))


def container(scene: PaperScene) -> Any:
    (found,) = scene.deployment()["spec"]["template"]["spec"]["containers"]
    return found


def uid(scene: PaperScene, kind: str) -> str:
    """'' while there is no such child."""
    return scene.kubectl("get", kind, CHILD, "-o", "jsonpath={.metadata.uid}", "--ignore-not-found")


def test_children_are_made_and_no_pod_flashes_up(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(worker={"drainTimeoutSeconds": 40})
    paper_scene.settled()
    deployment = managed(paper_scene)
    template = deployment["spec"]["template"]
    assert template["metadata"]["labels"]["jobyard.dev/jobqueue"] == "jq"
    assert template["spec"]["nodeSelector"] == NOWHERE, "podTemplate is merged"
    assert template["spec"]["terminationGracePeriodSeconds"] == 50
    assert [one["name"] for one in template["spec"]["containers"]] == ["worker"]
    budget = paper_scene.cluster.get(paper_scene.namespace, "pdb", CHILD)
    assert budget["spec"]["selector"] == {"matchLabels": {"jobyard.dev/jobqueue": "jq"}}
    for child in (deployment, budget):
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["controller"]) == ("JobQueue", True)

    # The ReplicaSet is as it was made: its number was never another one.
    (made,) = eventually(lambda: paper_scene.cluster.get(paper_scene.namespace, "replicasets")["items"])
    assert (made["spec"]["replicas"], made["metadata"]["generation"]) == (0, 1)
    assert paper_scene.pods() == []
    assert owners_of_replicas(deployment) == {"jobyard-autoscaler"}

    # Applying again, with another template, doesn't take them.
    paper_scene.jobqueue(scaling={"min": 2})
    eventually(lambda: paper_scene.replicas() == 2, 10, what="the autoscaler writes replicas")
    paper_scene.change({"worker": {"image": "registry.example/shop:2"}})
    eventually(lambda: container(paper_scene)["image"].endswith(":2"), 10, what="the new image is applied")
    assert (paper_scene.replicas(), owners_of_replicas(managed(paper_scene))) == (2, {"jobyard-autoscaler"})


def test_what_is_removed_comes_back(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue()
    paper_scene.settled()
    for kind in ("pdb", "deployment"):
        before = uid(paper_scene, kind)
        paper_scene.kubectl("delete", kind, CHILD)
        eventually(
            lambda kind=kind, before=before: uid(paper_scene, kind) not in ("", before), 10, what=f"a new {kind}"
        )
    paper_scene.settled()


def test_what_others_have_taken_is_theirs_and_is_named(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue()
    paper_scene.settled()
    paper_scene.kubectl("set", "image", f"deployment/{CHILD}", "worker=registry.example/other:7")
    patch = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 99}}}}
    paper_scene.kubectl(
        "patch", "deployment", CHILD, "--type=strategic", "--field-manager=someone", "-p", json.dumps(patch)
    )
    (event,) = eventually(
        lambda: [one for one in paper_scene.events("FieldsOwnedByOthers") if "GracePeriod" in one["note"]], 15
    )
    assert 'containers[name="worker"].image' in event["note"]
    # What is changed now reaches everything else.
    paper_scene.change({"worker": {"image": "registry.example/shop:2", "threads": 5}})
    eventually(
        lambda: {"name": "JOBYARD_THREADS", "value": "5"} in container(paper_scene)["env"], 10, what="the rest is ours"
    )
    spec = paper_scene.deployment()["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == 99
    assert container(paper_scene)["image"] == "registry.example/other:7"
    eventually(lambda: "terminationGracePeriodSeconds" in paper_scene.condition("Reconciling")["message"], 20)


def test_a_template_that_is_refused_is_said_and_what_was_there_is_still_looked_after(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue()
    paper_scene.settled()
    wrong = {"spec": {"containers": [{"name": "worker", "ports": [{"containerPort": 99999999}]}]}}
    paper_scene.change({"worker": {"podTemplate": wrong}})
    stalled = eventually(lambda: said if (said := paper_scene.condition("Stalled"))["status"] == "True" else None, 10)
    assert stalled is not None
    assert stalled["reason"] == "NeedsChange"
    assert "99999999" in stalled["message"]
    assert paper_scene.condition("Ready")["status"] == "False"
    assert paper_scene.condition("MetricsAvailable")["status"] == "True"
    paper_scene.send(range(100))
    eventually(lambda: paper_scene.replicas() == 5, 10, what="it is scaled, with the template of before")
    paper_scene.change({"worker": {"podTemplate": None}, "replicas": 0})
    paper_scene.settled()
    assert paper_scene.condition("Stalled")["status"] == "False"


def test_pods_that_are_refused_are_said(paper_scene: PaperScene) -> None:
    paper_scene.jobqueue(replicas=1)
    eventually(lambda: len(paper_scene.pods()) == 1, 20)
    # The Deployment is taken; its pods are not, by the namespace's Pod Security.
    paper_scene.change({"worker": {"podTemplate": {"spec": {"securityContext": {"runAsNonRoot": False}}}}})

    def stalled(status: str) -> dict[str, Any] | None:
        said = paper_scene.condition("Stalled")
        return said if said["status"] == status else None

    said = eventually(lambda: stalled("True"), 20, what="the status says why no pod comes") or {}
    assert said["reason"] == "PodsFail"
    assert "violates PodSecurity" in said["message"]
    assert "runAsNonRoot" in said["message"]
    paper_scene.change({"worker": {"podTemplate": {"spec": {"securityContext": None}}}})
    eventually(lambda: stalled("False"), 20, what="it goes on")


def test_a_secret_that_is_missing_wrong_and_then_right(paper_scene: PaperScene) -> None:
    paper_scene.kubectl("delete", "secret", "redis")
    paper_scene.jobqueue()

    def stalled(words: str) -> dict[str, Any] | None:
        said = paper_scene.condition("Stalled")
        return said if said and said["status"] == "True" and words in said["message"] else None

    eventually(lambda: stalled("no Secret redis"), 15, what="it says what is missing")
    assert len(paper_scene.status()["conditions"]) == 8
    paper_scene.kubectl("create", "secret", "generic", "redis", "--from-literal=uri=redis://nobody")
    eventually(lambda: stalled("no key 'url'"), 15, what="it says which key")
    paper_scene.cluster.apply(paper_scene.namespace, paper_scene.valkey.secret("redis"))
    paper_scene.settled(timeout=15)
    assert paper_scene.valkey.url not in json.dumps(paper_scene.get())


def test_a_secret_that_is_rotated_is_rolled_out_and_used(
    paper_scene: PaperScene, start_paper_valkey: Callable[[], Valkey]
) -> None:
    paper_scene.jobqueue()
    paper_scene.settled()
    other = start_paper_valkey()
    broker = JobyardBroker(other.url, middleware=[])
    try:
        paper_scene.cluster.apply(paper_scene.namespace, other.secret("redis"))
        version = paper_scene.cluster.get(paper_scene.namespace, "secret", "redis")["metadata"]["resourceVersion"]

        def rolled_out() -> bool:
            meta = paper_scene.deployment()["spec"]["template"]["metadata"]
            return bool(meta["annotations"]["jobyard.dev/secret-version"] == version)

        eventually(rolled_out, 15, what="the template has the Secret's new version")
        for number in range(50):
            broker.enqueue(message("work", job_id=f"there-{number}"))
        eventually(lambda: paper_scene.replicas() == 3, 15, what="the operator looks at the new one")
        # Now one that is gone: what the Secret says next is not waited for long.
        other.stop()
        eventually(lambda: paper_scene.condition("MetricsAvailable")["status"] == "False", 20)
        assert paper_scene.replicas() == 3
        paper_scene.cluster.apply(paper_scene.namespace, paper_scene.valkey.secret("redis"))
        eventually(lambda: paper_scene.condition("MetricsAvailable")["status"] == "True", 20)
    finally:
        broker.close()
