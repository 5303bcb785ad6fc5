"""The cluster that `tests/cluster/which` says, ready to be started."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from cluster.cluster import Cluster
from cluster.current import CurrentCluster
from cluster.kind import KindCluster
from cluster.native.cluster import NativeCluster, missing

ROOT: Final = Path(__file__).parents[2]
IMAGE: Final = ROOT / ".cache" / "cluster-image.tar"
NO_PODS: Final = "pods need Linux, root and the right to make namespaces; or docker and kind; see tests/cluster/which"


class CantRun(RuntimeError):
    """There can be no such cluster here; says what is missing."""


@cache
def which() -> str:
    """native, control-plane, kind, current or none.

    Raises:
        CantRun: JOBYARD_TEST_CLUSTER demands what can't be had.
    """
    done = subprocess.run([ROOT / "tests" / "cluster" / "which"], check=False, capture_output=True, text=True)
    if done.returncode:
        raise CantRun(done.stderr.strip())
    return done.stdout.strip()


def programs() -> Path:
    """The folder with what was built of Kubernetes."""
    script = ROOT / "tests" / "cluster" / "build" / "programs"
    return Path(subprocess.run([script, "--where"], check=True, capture_output=True, text=True).stdout.strip())


def make() -> Cluster:
    """Raises:
    CantRun: there can be none, or something has to be built first.
    """
    kind, directory = which(), ROOT / ".cache" / "cluster-run"
    if kind == "none":
        raise CantRun(NO_PODS)
    if kind in ("native", "control-plane"):
        pods = kind == "native"
        if lacking := missing(programs(), IMAGE, pods=pods):
            raise CantRun(f"{lacking[0].name} is missing: run tests/cluster/build/all .venv/bin/python")
        return NativeCluster(programs(), directory, IMAGE, pods=pods)
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise CantRun("kubectl is missing")
    return (KindCluster if kind == "kind" else CurrentCluster)(directory, Path(kubectl))
