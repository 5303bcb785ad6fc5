"""The whole: everything started in order, awaited, and taken down again."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from cluster.native import dns, images, network
from cluster.native.addresses import API, NODE
from cluster.native.certificates import Authority
from cluster.native.cgroups import Cgroup
from cluster.native.control_plane import ControlPlane
from cluster.native.locks import Locks
from cluster.native.node import Node
from cluster.native.processes import Program


class NativeCluster:
    """A control plane and one node.

    Args:
        programs: folder with the built programs, kubectl among them.
        directory: where it keeps its files; emptied at the start.
    """

    def __init__(self, programs: Path, directory: Path) -> None:
        self.programs, self.directory = programs, directory
        self._locks: Locks | None = None
        self._cgroup = Cgroup(directory)
        self.control_plane: ControlPlane
        self.node: Node
        self.dns: Program
        self.kubeconfig: Path

    def start(self) -> None:
        """Raises:
        ClusterBusy: another one runs.
        ProgramEnded, TimeoutError: it did not come up.
        """
        self._locks = Locks(self.directory)
        held = [self._locks.descriptor]
        shutil.rmtree(self.directory, ignore_errors=True)
        (self.directory / "logs").mkdir(parents=True)
        certificates = self.directory / "certificates"
        certificates.mkdir(mode=0o700)
        self._cgroup.make()
        cni = network.set_up(self.directory)
        authority = Authority(certificates, API)
        self.authority = authority
        self.kubeconfig = authority.kubeconfig("admin", authority.issue("admin", "admin", ("system:masters",)))
        self.control_plane = ControlPlane(self.programs, self.directory, authority)
        self.node = Node(self.programs, self.directory, authority, cni, self._cgroup.path)
        self.dns = dns.server(self.programs, self.directory, self.kubeconfig)
        self.control_plane.start(held=held)
        self._await("the API server", self._api_is_ready)
        self.node.start(held=held)
        self.dns.start(held=held)
        archive = images.pause_archive(self.programs / "pause", self.directory / "pause.tar")
        self._await("containerd", self._containerd_answers)
        images.import_archive(self.node.socket, archive)
        self._await("the node", self.node_is_ready)

    def stop(self) -> None:
        """Take everything down, however far the start came."""
        if self._locks is None:
            return
        for name in ("dns", "node", "control_plane"):
            part = getattr(self, name, None)
            if part is not None:
                part.kill()
        network.tear_down()
        self._cgroup.remove()
        self._locks.release()

    def kubectl(self, *arguments: str, check: bool = True, given: str | None = None) -> str:
        """What kubectl prints.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        command = [str(self.programs / "kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, input=given)
        if check and done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def node_is_ready(self) -> bool:
        """Whether the control plane takes the node for ready."""
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        return self.kubectl("get", "node", NODE, "-o", f"jsonpath={path}", check=False) == "True"

    def _api_is_ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.load_cert_chain(self.authority.directory / "admin.crt", self.authority.directory / "admin.key")
        try:
            with urllib.request.urlopen(f"{API}/readyz", timeout=2, context=context) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _containerd_answers(self) -> bool:
        command = ["ctr", "--address", str(self.node.socket), "version"]
        return subprocess.run(command, check=False, capture_output=True, timeout=10).returncode == 0

    def _await(self, what: str, ready: Callable[[], bool], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            self.control_plane.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} was not ready within {seconds:.0f} s; see {self.directory / 'logs'}")
            time.sleep(0.1)
