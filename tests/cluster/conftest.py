"""The cluster that the tests here run on: started once, shared by all of them. `tests/cluster/build/all` has built it.

`control_plane` is enough for a test without pods; `cluster` is the same with a node. A test that harms the node or the API
server says so: `harms_cluster`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from cluster import choose
from cluster.cluster import Cluster
from cluster.valkey import Valkey
from support.waiting import eventually

_ROOT: Final = Path(__file__).parents[2]
_CI: Final = bool(os.environ.get("CI"))


# What may run, and where -------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "harms_cluster(how): not done to a cluster that belongs to somebody")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(300))  # The first one starts the cluster.


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """In CI nothing here may be skipped."""
    report = yield
    if _CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} must not be skipped in CI: {report.longrepr[2]}"
    return report


@pytest.fixture(autouse=True)
def _unharmed(request: pytest.FixtureRequest) -> None:
    """Leave alone what belongs to somebody."""
    for mark in request.node.iter_markers("harms_cluster"):
        if not request.getfixturevalue("control_plane").disposable:
            pytest.skip(f"{mark.args[0]}: not done to a cluster that belongs to somebody")


# Clusters ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """An API server with its controllers. It may be a whole cluster."""
    try:
        found = choose.make()
        if _CI and choose.which() != "native":
            raise choose.CantRun(f"In CI the cluster has to be native; here it would be {choose.which()}.")
    except choose.CantRun as error:
        # Whoever demanded a cluster, or only forgot to build it, shall not take it for tested.
        if os.environ.get("JOBYARD_TEST_CLUSTER") or _CI or choose.which() != "none":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="session")
def cluster(control_plane: Cluster) -> Cluster:
    """The cluster, with a node that has the project's image."""
    if choose.which() == "control-plane":
        pytest.skip(choose.NO_PODS)
    control_plane.start_pods()
    return control_plane


@pytest.fixture
def kube_namespace(control_plane: Cluster) -> Iterator[str]:
    """A namespace that admits restricted pods only, for one test."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    # Pods are refused until the namespace's service account is there.
    eventually(lambda: control_plane.kubectl("-n", name, "get", "serviceaccount", "default", check=False), 30)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def crds(control_plane: Cluster) -> None:
    """JobQueue and DeadJob are known to the API server."""
    folder = str(_ROOT / "manifests" / "crds")
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", folder)
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", folder)


# Redis -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def start_valkey(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[[], Valkey]]:
    """Starts servers that both pods and the test reach. They can be killed and started again on their data."""
    if not cluster.host:
        pytest.skip("pods can't reach this machine: set JOBYARD_TEST_HOST to its address as they see it")
    started: list[Valkey] = []

    def start() -> Valkey:
        directory = tmp_path / f"valkey-{len(started)}"
        directory.mkdir()
        started.append(Valkey(directory, cluster.host))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def valkey(start_valkey: Callable[[], Valkey]) -> Valkey:
    """One of them, for this test."""
    return start_valkey()
