"""A cluster in Docker, by kind: a control plane and one node, each a container."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import yaml

from cluster.cluster import RELEASE, Cluster
from cluster.native.addresses import unique_name
from support.waiting import eventually

_CONFIG: Final = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "nodes": [{"role": "control-plane"}, {"role": "worker"}],
}


class KindCluster(Cluster):
    """Needs docker and kind; the image is in Docker already (tests/cluster/build/all)."""

    def __init__(self, directory: Path, program: Path) -> None:
        super().__init__(directory, program)
        self._name = unique_name(directory)
        self.kubeconfig = directory / "kubeconfig"
        self.node = Container(f"{self._name}-worker")
        self.api = Container(f"{self._name}-control-plane")

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.stop()  # what a run that was cut off has left
        config = self.directory / "kind.yaml"
        config.write_text(yaml.safe_dump(_CONFIG))
        self._kind("create", "cluster", "--config", str(config), "--wait", "180s")
        self.host = _gateway()

    def start_pods(self) -> None:
        _run("docker", "tag", self.image, RELEASE)
        self._kind("load", "docker-image", self.image, RELEASE)
        eventually(self.node_is_ready, 180, what="the node is ready")

    def stop(self) -> None:
        self._kind("delete", "cluster")

    def _kind(self, *arguments: str) -> None:
        options = ["--name", self._name]
        if arguments[1] == "cluster":
            options += ["--kubeconfig", str(self.kubeconfig)]
        _run("kind", *arguments, *options)


class Container:
    """A node of kind."""

    def __init__(self, name: str) -> None:
        self.name = name

    def kill(self) -> None:
        _run("docker", "kill", self.name)

    def start(self) -> None:
        _run("docker", "start", self.name)

    def freeze(self) -> None:
        _run("docker", "pause", self.name)

    def thaw(self) -> None:
        _run("docker", "unpause", self.name)


def _gateway() -> str:
    """This machine's address in kind's network."""
    network = os.environ.get("KIND_EXPERIMENTAL_DOCKER_NETWORK", "kind")
    form = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
    found = _run("docker", "network", "inspect", network, "--format", form).split()
    return next(address for address in found if ":" not in address)


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
