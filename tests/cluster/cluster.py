"""What the tests need from a Kubernetes cluster, whichever it is."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import yaml

#: The image's name in our manifests. Nodes that we make have it under that name, too.
RELEASE: Final = f"jobyard:{importlib.metadata.version('jobyard')}"


class Node(Protocol):
    """The node on which pods run."""

    name: str

    def kill(self) -> None:
        """End it and all its containers at once, as if its power were cut."""

    def start(self) -> None:
        """Start it again."""


class Api(Protocol):
    """The API server."""

    def freeze(self) -> None:
        """It answers nothing more; connections stay open."""

    def thaw(self) -> None:
        """It goes on."""


class Cluster(ABC):
    """A cluster that is started, used, and taken down. `start` sets `kubeconfig`.

    Args:
        directory: for its files.
        program: kubectl.
    """

    #: The project's image, as the cluster's nodes know it.
    image: str = "localhost/jobyard:dev"
    #: Whether its node and its API server may be harmed: `node` and `api` can be used.
    disposable: ClassVar[bool] = True
    #: This machine's address as pods see it; "" if they can't reach it.
    host: str = ""
    #: The administrator's access.
    kubeconfig: Path
    node: Node
    api: Api

    def __init__(self, directory: Path, program: Path) -> None:
        self.directory, self.program = directory, program

    @abstractmethod
    def start(self) -> None:
        """Returns when the API server answers."""

    @abstractmethod
    def start_pods(self) -> None:
        """Returns when pods can run, with the project's image. May be called again."""

    @abstractmethod
    def stop(self) -> None:
        """Take down what was started, however far that came."""

    def kubectl(
        self,
        *arguments: str,
        check: bool = True,
        given: str | None = None,
        as_: Path | None = None,
        directory: Path | None = None,
    ) -> str:
        """What kubectl prints.

        Args:
            given: for its standard input.
            as_: a kubeconfig other than the administrator's.
            directory: where it runs; None: here.

        Raises:
            RuntimeError: it failed; with what it said.
        """
        command = [str(self.program), "--kubeconfig", str(as_ or self.kubeconfig), *arguments]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=120, input=given, cwd=directory
        )
        if check and done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, namespace: str, *resources: dict[str, Any]) -> None:
        """Apply resources in a namespace.

        Raises:
            RuntimeError: one was refused; with what the API server said.
        """
        # Each a document of its own: inside of a List, kubectl would look at the fields itself.
        documents = "\n---\n".join(json.dumps(resource) for resource in resources)
        self.kubectl("-n", namespace, "apply", "-f", "-", given=documents)

    def get(self, namespace: str, *what: str) -> Any:
        """A resource, or a list of them (`{"items": […]}`), as the API server has it."""
        return json.loads(self.kubectl("-n", namespace, "get", *what, "-o", "json"))

    @contextmanager
    def forwarded(self, namespace: str, what: str, port: int) -> Iterator[str]:
        """The address (`127.0.0.1:PORT`) at which a port of a Service or a pod is reached from here."""
        command = [self.program, "--kubeconfig", self.kubeconfig, "-n", namespace, "port-forward", what, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                found = re.match(r"Forwarding from (127\.0\.0\.1:\d+) ", process.stdout.readline())
                assert found is not None
                yield found[1]
            finally:
                process.terminate()

    def kubeconfig_for(self, namespace: str, service_account: str) -> Path:
        """Access with the rights of a service account, and no others, for ten hours."""
        token = self.kubectl("-n", namespace, "create", "token", service_account, "--duration=10h").strip()
        content = yaml.safe_load(self.kubeconfig.read_text())
        content["users"] = [{"name": user["name"], "user": {"token": token}} for user in content["users"]]
        path = self.directory / f"{namespace}-{service_account}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content))
        return path

    def node_is_ready(self) -> bool:
        """Whether the control plane takes the node for ready."""
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        return self.kubectl("get", "node", self.node.name, "-o", f"jsonpath={path}", check=False) == "True"
