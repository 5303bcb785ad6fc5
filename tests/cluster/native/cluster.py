"""The whole: everything started in order, awaited, and taken down again."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.cluster import RELEASE, Cluster
from cluster.native import dns, images, network
from cluster.native.addresses import API_PORT, HOST, LOOPBACK
from cluster.native.certificates import Authority
from cluster.native.cgroups import Cgroup
from cluster.native.control_plane import ControlPlane
from cluster.native.locks import Locks
from cluster.native.node import Node
from cluster.native.processes import Program
from support.servers import binary


class NativeCluster(Cluster):
    """A control plane, and one node as soon as pods are asked for.

    Args:
        programs: folder with the built programs, kubectl among them.
        directory: where it keeps its files; emptied at the start.
        image: archive with the project's image.
        pods: False: there is never a node; then no right is needed.
    """

    def __init__(self, programs: Path, directory: Path, image: Path, *, pods: bool = True) -> None:
        super().__init__(directory, programs / "kubectl")
        self.programs = programs
        self._archive, self._pods = image, pods
        self._address = HOST if pods else LOOPBACK
        self._cgroup = Cgroup(directory)
        self._locks: Locks | None = None
        self._held: list[int] = []
        self._started: list[Any] = []
        self._dns: Program | None = None

    def start(self) -> None:
        """Raises:
        ClusterBusy: another one runs.
        ProgramEnded, TimeoutError: it did not come up.
        """
        self._locks = Locks(self.directory)
        self._held = [self._locks.descriptor]
        shutil.rmtree(self.directory, ignore_errors=True)
        (self.directory / "logs").mkdir(parents=True)
        if self._pods:
            network.set_up()  # The API server is bound to it.
            self.host = HOST
        certificates = self.directory / "certificates"
        certificates.mkdir(mode=0o700)
        self._authority = Authority(certificates, f"https://{self._address}:{API_PORT}")
        self.kubeconfig = self._authority.kubeconfig(
            "admin", self._authority.issue("admin", "admin", ("system:masters",))
        )
        self._control_plane = ControlPlane(self.programs, self.directory, self._authority, self._address)
        self.api = self._control_plane.api
        self._started.append(self._control_plane)
        self._control_plane.start(held=self._held)
        self._await("the API server", self._api_is_ready)

    def start_pods(self) -> None:
        """Raises:
        ProgramEnded, TimeoutError: the node did not come up.
        """
        if self._dns is not None:
            return
        self._cgroup.make()
        plugins = network.write_plugins(self.directory)
        self.node = Node(self.programs, self.directory, self._authority, plugins, self._cgroup.path)
        self._dns = dns.server(self.programs, self.directory, self.kubeconfig)
        self._started += [self.node, self._dns]
        self.node.start(held=self._held)
        self._dns.start(held=self._held)
        pause = images.pause_archive(self.programs / "pause", self.directory / "pause.tar")
        self._await("containerd", self._containerd_answers)
        valkey = images.valkey_archive(binary("valkey"), self.directory / "valkey.tar")
        for archive in (pause, valkey, self._archive):
            images.import_archive(self.node.socket, archive)
        images.tag(self.node.socket, self.image, f"docker.io/library/{RELEASE}")
        self._await("the node", self.node_is_ready)

    def stop(self) -> None:
        if self._locks is None:
            return
        for part in reversed(self._started):
            part.kill()
        self._started.clear()
        if self._pods:
            network.tear_down()
            self._cgroup.remove()
        self._locks.release()

    def check(self) -> None:
        """Raises:
        ProgramEnded: a program of the control plane or the node doesn't run.
        """
        for part in self._started:
            part.check()

    def _api_is_ready(self) -> bool:
        directory = self._authority.directory
        context = ssl.create_default_context(cafile=str(self._authority.certificate))
        context.load_cert_chain(directory / "admin.crt", directory / "admin.key")
        try:
            address = f"https://{self._address}:{API_PORT}/readyz"
            with urllib.request.urlopen(address, timeout=2, context=context) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _containerd_answers(self) -> bool:
        command = ["ctr", "--address", str(self.node.socket), "version"]
        return subprocess.run(command, check=False, capture_output=True, timeout=10).returncode == 0

    def _await(self, what: str, ready: Callable[[], bool], seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} was not ready within {seconds:.0f} s; see {self.directory / 'logs'}")
            time.sleep(0.1)


def missing(programs: Path, image: Path, *, pods: bool = True) -> list[Path]:
    """What has to be built before there can be a cluster."""
    names = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"]
    if pods:
        names += ["kube-scheduler", "kubelet", "kube-proxy", "coredns", "pause"]
    found = [programs / name for name in names] + ([image] if pods else [])
    return [path for path in found if not os.access(path, os.R_OK)]
