"""The operator on the cluster: as the chart grants it its rights, for one namespace a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.cluster import Cluster
from cluster.control.process import OperatorProcess
from cluster.control.scene import CODE, Scene
from cluster.valkey import Valkey
from jobyard.broker import JobyardBroker
from support.chart import render

_ACCOUNT = "jobyard-operator"


def rights(namespace: str) -> list[dict[str, Any]]:
    """What the chart grants an operator that watches one namespace: its account, Roles and RoleBindings."""
    objects = render({"watchNamespaces": [namespace]}, "--namespace", namespace)
    return [one for one in objects if one["kind"] in ("ServiceAccount", "Role", "RoleBinding")]


@pytest.fixture
def access(control_plane: Cluster, crds: None, kube_namespace: str) -> Path:
    """A kubeconfig with the operator's rights in the test's namespace."""
    control_plane.apply(kube_namespace, *rights(kube_namespace))
    return control_plane.kubeconfig_for(kube_namespace, _ACCOUNT)


@pytest.fixture
def start_operator(access: Path, kube_namespace: str, tmp_path: Path) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts operators for the test's namespace: `start_operator()`. The first one has been waited for until it leads."""
    started: list[OperatorProcess] = []

    def start(*more: str, wait: bool | None = None) -> OperatorProcess:
        log = tmp_path / f"operator-{len(started)}.log"
        one = OperatorProcess(access, log, "--namespace", kube_namespace, "--lease-namespace", kube_namespace, *more)
        started.append(one)
        one.start()
        if wait or (wait is None and len(started) == 1):
            one.wait_until_it_leads()
        return one

    yield start
    for one in started:
        one.stop()
    for one in started:
        print(*one.messages()[-60:], sep="\n")


@pytest.fixture
def scene(
    cluster: Cluster, kube_namespace: str, valkey: Valkey, start_operator: Callable[..., OperatorProcess]
) -> Iterator[Scene]:
    """A namespace with a Valkey, the code of the pods, and one operator that leads."""
    code = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "code"},
        "data": {"jobs.py": CODE.read_text()},
    }
    cluster.apply(kube_namespace, valkey.secret("redis"), code)
    broker = JobyardBroker(valkey.url, middleware=[])
    made = Scene(cluster, kube_namespace, valkey, broker)
    made.operators.append(start_operator())
    yield made
    broker.close()
