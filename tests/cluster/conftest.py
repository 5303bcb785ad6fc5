"""The cluster that the tests here run on: started once, shared by all of them. `tests/cluster/build/all` has built it."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.native import images
from cluster.native.cluster import NativeCluster
from support.waiting import eventually

_BUILD = Path(__file__).parent / "build"
_ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def cluster() -> Iterator[NativeCluster]:
    """A control plane and a node, with the project's image on it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("The tests of the cluster must not be skipped here, and they need Linux and root.")
        pytest.skip("a node needs Linux and root")
    programs = Path(_run("programs", "--where"))
    image = _ROOT / ".cache" / "cluster-image.tar"
    missing = [path for path in (programs / "coredns", programs / "kubectl", image) if not path.exists()]
    if missing:
        pytest.fail(f"{missing[0].name} is missing: run tests/cluster/build/all {sys.executable}", pytrace=False)
    found = NativeCluster(programs, _ROOT / ".cache" / "cluster-run")
    try:
        found.start()
        images.import_archive(found.node.socket, image)
        yield found
    finally:
        found.stop()


@pytest.fixture
def kube_namespace(cluster: NativeCluster) -> Iterator[str]:
    """A namespace that admits restricted pods only, for one test."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    # Pods are refused until the namespace's service account is there.
    eventually(lambda: cluster.kubectl("-n", name, "get", "serviceaccount", "default", check=False), 30)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def _run(script: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [_BUILD / script, *arguments], check=False, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        pytest.fail(f"tests/cluster/build/{script} failed with {done.returncode}")
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
