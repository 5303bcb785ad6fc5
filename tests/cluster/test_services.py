"""Services lead to what is behind them."""

from __future__ import annotations

from cluster.cluster import Cluster
from support.waiting import eventually

LOOK = "import socket; socket.create_connection(('kubernetes.default.svc', 443), timeout=5); print('connected')"


def test_pods_reach_the_api_server_by_its_service(cluster: Cluster, kube_namespace: str) -> None:
    # A pod's own client knows no other address.
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "look"},
        "spec": {
            "restartPolicy": "OnFailure",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "main",
                    "image": cluster.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", LOOK],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
    cluster.apply(kube_namespace, pod)
    phase = ("-n", kube_namespace, "get", "pod", "look", "-o", "jsonpath={.status.phase}")
    eventually(lambda: cluster.kubectl(*phase, check=False) == "Succeeded", 60, what="the pod has ended")
    assert cluster.kubectl("-n", kube_namespace, "logs", "look") == "connected\n"
