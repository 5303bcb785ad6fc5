"""The operator on the cluster, with the rights that the chart grants: for one namespace, or for all of them.

`scene` has pods, and an operator of the test's own. `paper_scene` has neither: one operator serves all tests of a module, and
pods stay on paper, so that a test takes seconds.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.cluster import Cluster
from cluster.control.paper import PaperScene
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


# Without pods --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paper_operator(
    control_plane: Cluster, crds: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """One operator for all namespaces. It reads Secrets again every 4 s, not every 30."""
    namespace = f"o-{uuid.uuid4().hex[:8]}"
    objects = [
        one
        for one in render({}, "--namespace", namespace)
        if one["kind"] in ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    ]
    control_plane.kubectl("create", "namespace", namespace)
    control_plane.apply(namespace, *objects)
    operator = OperatorProcess(
        control_plane.kubeconfig_for(namespace, _ACCOUNT),
        tmp_path_factory.mktemp("operator") / "log",
        *("--lease-namespace", namespace),
        environment={"JOBYARD_OPERATOR_SECRET_AGE": "4"},
    )
    try:
        operator.start()
        operator.wait_until_it_leads()
        yield operator
    finally:
        operator.stop()
        for one in objects:
            if one["kind"].startswith("Cluster"):
                control_plane.kubectl("delete", one["kind"], one["metadata"]["name"], check=False)
        control_plane.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def start_paper_valkey(tmp_path: Path) -> Iterator[Callable[[], Valkey]]:
    """Starts servers that the operator and the test reach, and nobody else."""
    started: list[Valkey] = []

    def start() -> Valkey:
        directory = tmp_path / f"valkey-{len(started)}"
        directory.mkdir()
        started.append(Valkey(directory, "127.0.0.1"))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def paper_scene(
    control_plane: Cluster,
    kube_namespace: str,
    paper_operator: OperatorProcess,
    start_paper_valkey: Callable[[], Valkey],
) -> Iterator[PaperScene]:
    """A namespace with a Valkey, and the operator of the module."""
    valkey = start_paper_valkey()
    control_plane.apply(kube_namespace, valkey.secret("redis"))
    broker = JobyardBroker(valkey.url, middleware=[])
    made = PaperScene(control_plane, kube_namespace, valkey, broker, [paper_operator])
    yield made
    made.kubectl("delete", "jobqueues", "--all", "--wait=false", check=False)
    made.release()
    broker.close()
    print(*paper_operator.messages()[-40:], sep="\n")
