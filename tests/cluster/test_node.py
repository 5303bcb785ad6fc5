"""The cluster itself is real: pods run from the project's image, name each other, and outlive a node that dies."""

from __future__ import annotations

import json
import signal

import pytest

from cluster.native.cluster import NativeCluster
from support.waiting import eventually

pytestmark = pytest.mark.timeout(300)


def pod(name: str, *command: str, restart: str = "Never") -> str:
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
                        "image": "localhost/jobyard:dev",
                        "imagePullPolicy": "Never",
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


def phase(cluster: NativeCluster, namespace: str, name: str) -> str:
    return cluster.kubectl("-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.phase}", check=False)


def test_the_image_runs_without_root_on_a_read_only_file_system(cluster: NativeCluster, kube_namespace: str) -> None:
    cluster.kubectl("-n", kube_namespace, "apply", "-f", "-", given=pod("version", "jobyard", "--version"))
    eventually(lambda: phase(cluster, kube_namespace, "version") == "Succeeded", 60, what="the pod has ended")
    assert cluster.kubectl("-n", kube_namespace, "logs", "version").startswith("jobyard ")


def test_pods_know_services_by_name(cluster: NativeCluster, kube_namespace: str) -> None:
    look = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"
    cluster.kubectl("-n", kube_namespace, "apply", "-f", "-", given=pod("look", "python", "-c", look))
    eventually(lambda: phase(cluster, kube_namespace, "look") == "Succeeded", 60, what="the pod has ended")
    assert cluster.kubectl("-n", kube_namespace, "logs", "look").strip() == "10.96.0.1"


def test_a_node_that_dies_comes_back_with_its_pods(cluster: NativeCluster, kube_namespace: str) -> None:
    sleep = pod("sleeper", "python", "-c", "import time; time.sleep(600)", restart="Always")
    cluster.kubectl("-n", kube_namespace, "apply", "-f", "-", given=sleep)
    eventually(lambda: phase(cluster, kube_namespace, "sleeper") == "Running", 60, what="the pod runs")
    cluster.node.kill()
    eventually(lambda: not cluster.node_is_ready(), 60, what="the control plane has noticed")
    cluster.node.start()
    eventually(cluster.node_is_ready, 60, what="the node is back")
    started = "jsonpath={.status.containerStatuses[0].restartCount} {.status.phase}"
    eventually(
        lambda: cluster.kubectl("-n", kube_namespace, "get", "pod", "sleeper", "-o", started) == "1 Running",
        120, what="its container was started again",
    )  # fmt: skip


def test_an_api_server_that_stops_answers_again_when_it_goes_on(cluster: NativeCluster) -> None:
    cluster.control_plane.api.signal(signal.SIGSTOP)
    try:
        assert cluster.kubectl("get", "nodes", "--request-timeout=1s", check=False) == ""
    finally:
        cluster.control_plane.api.signal(signal.SIGCONT)
    eventually(cluster.node_is_ready, 60, what="the API server answers")
