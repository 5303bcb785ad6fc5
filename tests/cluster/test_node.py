"""The cluster itself is real: pods run from the project's image, name each other, and outlive a node that dies."""

from __future__ import annotations

import json

import pytest
import redis

from cluster.cluster import Cluster
from cluster.valkey import Valkey
from support.waiting import eventually


def pod(image: str, name: str, *command: str, restart: str = "Never") -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": restart,
                "terminationGracePeriodSeconds": 1,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "main",
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": list(command),
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        }
    )


def phase(cluster: Cluster, namespace: str, name: str) -> str:
    return cluster.kubectl("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.phase}", check=False)


def test_the_image_runs_without_root_on_a_read_only_file_system(cluster: Cluster, kube_namespace: str) -> None:
    cluster.kubectl(
        "-n", kube_namespace, "apply", "-f", "-", given=pod(cluster.image, "version", "jobyard", "--version")
    )
    eventually(lambda: phase(cluster, kube_namespace, "version") == "Succeeded", 60, what="the pod has ended")
    assert cluster.kubectl("-n", kube_namespace, "logs", "version").startswith("jobyard ")


def test_pods_know_services_by_name(cluster: Cluster, kube_namespace: str) -> None:
    look = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"
    cluster.kubectl("-n", kube_namespace, "apply", "-f", "-", given=pod(cluster.image, "look", "python", "-c", look))
    eventually(lambda: phase(cluster, kube_namespace, "look") == "Succeeded", 60, what="the pod has ended")
    assert cluster.kubectl("-n", kube_namespace, "logs", "look").strip() == cluster.kubectl(
        "-n", "default", "get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}"
    )


def test_pods_reach_the_tests_valkey_which_can_be_killed(cluster: Cluster, kube_namespace: str, valkey: Valkey) -> None:
    cluster.apply(kube_namespace, valkey.secret("redis"))
    push = "import os, redis; redis.Redis.from_url(os.environ['URL']).rpush('seen', 'pod')"
    content = json.loads(pod(cluster.image, "push", "python", "-c", push))
    reference = {"secretKeyRef": {"name": "redis", "key": "url"}}
    content["spec"]["containers"][0]["env"] = [{"name": "URL", "valueFrom": reference}]
    cluster.apply(kube_namespace, content)
    eventually(lambda: phase(cluster, kube_namespace, "push") == "Succeeded", 60, what="the pod has ended")
    valkey.restart()
    with redis.Redis.from_url(valkey.url) as client:
        assert client.lrange("seen", 0, -1) == [b"pod"]


def test_a_service_account_has_its_own_access(control_plane: Cluster, kube_namespace: str) -> None:
    control_plane.kubectl("-n", kube_namespace, "create", "role", "reader", "--verb=list", "--resource=pods")
    control_plane.kubectl(
        "-n", kube_namespace, "create", "rolebinding", "reader", "--role=reader",
        f"--serviceaccount={kube_namespace}:default",
    )  # fmt: skip
    access = control_plane.kubeconfig_for(kube_namespace, "default")
    eventually(
        lambda: (
            control_plane.kubectl("-n", kube_namespace, "auth", "can-i", "list", "pods", check=False, as_=access)
            == "yes\n"
        ),
        30,
    )
    with pytest.raises(RuntimeError, match=r"cannot list resource \"secrets\""):
        control_plane.kubectl("-n", kube_namespace, "get", "secrets", as_=access)


@pytest.mark.harms_cluster("kills a node")
def test_a_node_that_dies_comes_back_with_its_pods(cluster: Cluster, kube_namespace: str) -> None:
    sleep = pod(cluster.image, "sleeper", "python", "-c", "import time; time.sleep(600)", restart="Always")
    cluster.kubectl("-n", kube_namespace, "apply", "-f", "-", given=sleep)
    eventually(lambda: phase(cluster, kube_namespace, "sleeper") == "Running", 60, what="the pod runs")
    cluster.node.kill()
    eventually(lambda: not cluster.node_is_ready(), 120, what="the control plane has noticed")
    cluster.node.start()
    eventually(cluster.node_is_ready, 60, what="the node is back")
    started = "jsonpath={.status.containerStatuses[0].restartCount} {.status.phase}"
    eventually(
        lambda: cluster.kubectl("-n", kube_namespace, "get", "pod", "sleeper", "-o", started) == "1 Running",
        120, what="its container was started again",
    )  # fmt: skip


@pytest.mark.harms_cluster("stops the API server")
def test_an_api_server_that_stops_answers_again_when_it_goes_on(control_plane: Cluster) -> None:
    def answer() -> str:
        return control_plane.kubectl("get", "namespaces", "-o", "name", "--request-timeout=1s", check=False)

    control_plane.api.freeze()
    try:
        assert answer() == ""
    finally:
        control_plane.api.thaw()
    assert "namespace/default" in eventually(answer, 60, what="the API server answers")
