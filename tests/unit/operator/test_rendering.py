"""The Deployment and the PodDisruptionBudget of a JobQueue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate

from jobyard_operator.core.rendering import MARGIN, QUEUE_LABEL, deployment, disruption_budget
from jobyard_operator.resources import JobQueue

GOLDEN = Path(__file__).parent / "golden"
MakeQueue = Callable[..., JobQueue]

WORKER = {"image": "shop:1.4", "modules": ["shop.jobs", "shop.reports:broker"]}
QUEUES: dict[str, dict[str, Any]] = {
    "small": {},
    "large": {
        "queue": "tenants/7",
        "redis": {"url": "redis://redis:6379/0", "namespace": "shop"},
        "worker": WORKER
        | {
            "processes": 4,
            "threads": 1,
            "drainTimeoutSeconds": 600,
            "imagePullPolicy": "Always",
            "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
            "podTemplate": {
                "metadata": {"labels": {"team": "shop", QUEUE_LABEL: "another"}},
                "spec": {
                    "nodeSelector": {"disk": "ssd"},
                    "tolerations": [{"key": "spot", "operator": "Exists"}],
                    "containers": [{"name": "worker", "env": [{"name": "TZ", "value": "UTC"}]}],
                },
            },
        },
    },
}


@pytest.mark.parametrize("name", QUEUES)
def test_it_is_rendered_as_before(name: str, make_queue: MakeQueue) -> None:
    # To accept a change: write what is rendered into the file, and look at the difference.
    queue = make_queue(**QUEUES[name])
    rendered = [deployment(queue, secret_version="1"), disruption_budget(queue)]
    assert rendered == list(yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", QUEUES)
def test_kubernetes_knows_all_that_it_says(name: str, make_queue: MakeQueue) -> None:
    queue = make_queue(**QUEUES[name])
    validate(deployment(queue), "1.37", strict=True)
    validate(disruption_budget(queue), "1.37", strict=True)


def pod(queue: JobQueue) -> dict[str, Any]:
    return deployment(queue)["spec"]["template"]["spec"]


def environment(queue: JobQueue) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in pod(queue)["containers"][0]["env"]}


def test_replicas_are_left_to_the_autoscaler(make_queue: MakeQueue) -> None:
    assert "replicas" not in deployment(make_queue(replicas=5))["spec"]


def test_pods_pass_the_restricted_standard(make_queue: MakeQueue) -> None:
    spec = pod(make_queue())
    [container] = spec["containers"]
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert all(set(volume) <= {"name", "emptyDir"} for volume in spec["volumes"])
    assert spec["automountServiceAccountToken"] is False


def test_kubernetes_waits_longer_than_the_worker_drains(make_queue: MakeQueue) -> None:
    queue = make_queue(worker=WORKER | {"drainTimeoutSeconds": 600})
    assert environment(queue)["JOBYARD_GRACE"] == "600"
    assert pod(queue)["terminationGracePeriodSeconds"] == 600 + MARGIN >= 605


def test_a_worker_that_can_not_work_ends_so_that_its_last_error_stands_in_its_status(make_queue: MakeQueue) -> None:
    assert environment(make_queue())["JOBYARD_MAX_CRASHES"] == "3"
    assert pod(make_queue())["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_redis_is_named_by_its_secret(make_queue: MakeQueue) -> None:
    assert environment(make_queue())["JOBYARD_REDIS_URL"] == {"secretKeyRef": {"name": "redis", "key": "url"}}


def test_a_worker_knows_its_image_also_where_the_pod_template_has_another(make_queue: MakeQueue) -> None:
    assert environment(make_queue(worker=WORKER))["JOBYARD_IMAGE"] == WORKER["image"]
    other = {"spec": {"containers": [{"name": "worker", "image": "mirror.example/shop:2"}]}}
    assert environment(make_queue(worker=WORKER | {"podTemplate": other}))["JOBYARD_IMAGE"] == "mirror.example/shop:2"
    named = {"spec": {"containers": [{"name": "worker", "env": [{"name": "JOBYARD_IMAGE", "value": "shop"}]}]}}
    assert environment(make_queue(worker=WORKER | {"podTemplate": named}))["JOBYARD_IMAGE"] == "shop"
    bare = {"spec": {"containers": [{"$patch": "replace", "name": "worker", "image": "shop:2"}]}}
    assert "env" not in pod(make_queue(worker=WORKER | {"podTemplate": bare}))["containers"][0]


def test_a_new_secret_replaces_the_pods_and_nothing_else_does(make_queue: MakeQueue) -> None:
    queue = make_queue()
    assert deployment(queue, secret_version="1") == deployment(queue, secret_version="1")
    assert deployment(queue, secret_version="1") != deployment(queue, secret_version="2")
    scaled = make_queue(scaling={"max": 50}, paused=True, policy={"concurrency": 3})
    assert deployment(scaled, secret_version="1") == deployment(queue, secret_version="1")


def test_the_label_that_finds_the_pods_can_not_be_taken_away(make_queue: MakeQueue) -> None:
    for metadata in ({"labels": {QUEUE_LABEL: "x"}}, {"labels": None}, {"$patch": "replace"}):
        queue = make_queue(worker=WORKER | {"podTemplate": {"metadata": metadata}})
        rendered = deployment(queue)["spec"]
        assert rendered["selector"]["matchLabels"].items() <= rendered["template"]["metadata"]["labels"].items()


def test_children_go_with_their_queue(make_queue: MakeQueue) -> None:
    for child in (deployment(make_queue()), disruption_budget(make_queue())):
        [owner] = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("JobQueue", "6a8c4c1e", True)


def test_pods_do_not_wait_for_long_for_a_node_that_is_lost(make_queue: MakeQueue) -> None:
    keys = {one["key"]: one["tolerationSeconds"] for one in pod(make_queue())["tolerations"]}
    assert keys == {"node.kubernetes.io/not-ready": 15, "node.kubernetes.io/unreachable": 15}
    own = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    some = pod(make_queue(worker=WORKER | {"podTemplate": {"spec": {"tolerations": [own]}}}))["tolerations"]
    assert some[0] == own
    assert [one["key"] for one in some[1:]] == ["node.kubernetes.io/not-ready"]
    everything = {"operator": "Exists"}
    template = {"spec": {"tolerations": [everything]}}
    assert pod(make_queue(worker=WORKER | {"podTemplate": template}))["tolerations"] == [everything]
