"""What a test of the operator works with: a namespace, a Valkey, JobQueues, jobs, and what became of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dramatiq import Message

from cluster.cluster import Cluster
from cluster.control.process import OperatorProcess
from cluster.valkey import Valkey
from jobyard.broker import JobyardBroker
from jobyard.broker.caller import pod_prefix
from support.waiting import eventually

#: The test's actors, as a module of the pods.
CODE = Path(__file__).parent / "jobs.py"


@dataclass
class Scene:
    """All of it. Names of JobQueues are short: `jq`."""

    cluster: Cluster
    namespace: str
    valkey: Valkey
    broker: JobyardBroker
    operators: list[OperatorProcess] = field(default_factory=list)

    @property
    def operator(self) -> OperatorProcess:
        return self.operators[0]

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, check=check)

    def jobqueue(
        self, name: str = "jq", *, queue: str = "work", worker: dict[str, Any] | None = None, **spec: Any
    ) -> None:
        """Apply a JobQueue whose pods run the actors of `jobs.py`."""
        whole = {
            "apiVersion": "jobyard.dev/v1alpha1",
            "kind": "JobQueue",
            "metadata": {"name": name},
            "spec": {
                "queue": queue,
                "redis": {"secretRef": {"name": "redis"}},
                "worker": {
                    "image": self.cluster.image,
                    "imagePullPolicy": "Never" if self.cluster.disposable else "IfNotPresent",
                    "modules": ["jobs"],
                    "threads": 2,
                    "podTemplate": {
                        "spec": {
                            "containers": [{"name": "worker", "volumeMounts": [{"name": "code", "mountPath": "/app"}]}],
                            "volumes": [{"name": "code", "configMap": {"name": "code"}}],
                        }
                    },
                    **(worker or {}),
                },
                **spec,
            },
        }
        self.cluster.apply(self.namespace, whole)

    def get(self, name: str = "jq") -> Any:
        return self.cluster.get(self.namespace, "jobqueue", name)

    def status(self, name: str = "jq") -> dict[str, Any]:
        found: dict[str, Any] = self.get(name).get("status") or {}
        return found

    def condition(self, kind: str, name: str = "jq") -> dict[str, Any]:
        """A condition of a JobQueue; {} while there is none."""
        return next((one for one in self.status(name).get("conditions") or () if one["type"] == kind), {})

    def deployment(self, name: str = "jq") -> Any:
        return self.cluster.get(self.namespace, "deployment", f"{name}-worker")

    def replicas(self, name: str = "jq") -> int | None:
        """What the Deployment asks for; None: there is none yet."""
        path = "jsonpath={.spec.replicas}"
        found = self.kubectl("get", "deployment", f"{name}-worker", "-o", path, "--ignore-not-found")
        return int(found) if found else None

    def pods(self, name: str = "jq") -> list[Any]:
        """Its pods that are not terminating."""
        found = self.cluster.get(self.namespace, "pods", "-l", f"jobyard.dev/jobqueue={name}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, name: str = "jq") -> list[str]:
        """Names of the pods that serve."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods(name)
            if any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))
        ]

    def events(self, reason: str) -> list[Any]:
        """Events with this reason."""
        found = self.cluster.get(self.namespace, "events.events.k8s.io")["items"]
        return [one for one in found if one["reason"] == reason]

    def send(
        self, numbers: Sequence[int], *args: Any, actor: str = "work", queue: str = "work", **options: Any
    ) -> list[str]:
        """Enqueue jobs: `send(range(100), 0.5)`. Returns their ids."""
        messages = [
            Message(queue, actor, (number, *args), {}, options, message_id=f"{actor}-{number}") for number in numbers
        ]
        self.broker.enqueue_many(messages)
        return [message.message_id for message in messages]

    def completed(self, queue: str = "work") -> int:
        return self.broker.inspector.stats(queue).completed

    def active(self, queue: str = "work") -> int:
        return self.broker.inspector.stats(queue).active

    def job(self, job_id: str, queue: str = "work") -> Any:
        found = self.broker.inspector.job(job_id, queue=queue)
        assert found is not None
        return found

    def runner(self, job_id: str, timeout: float = 30) -> str:
        """Wait until a job runs. Returns the name of the pod that runs it."""

        def found() -> str | None:
            worker = self.job(job_id).worker or ""
            return next((pod for pod in self.ready() if worker.startswith(pod_prefix(pod))), None)

        return eventually(found, timeout, what=f"{job_id} runs") or ""

    def kill_container(self, pod: str) -> None:
        """SIGKILL to the first process of a pod's worker container, from outside of it."""
        pids = [pid for pid in _pids() if f"JOBYARD_POD_NAME={pod}".encode() in _read(pid, "environ").split(b"\0")]
        parents = {pid: int(_read(pid, "stat").rpartition(b")")[2].split()[1]) for pid in pids}
        (first,) = [pid for pid, parent in parents.items() if parent not in pids]
        os.kill(first, signal.SIGKILL)

    def wait_for_pods(self, count: int, name: str = "jq", timeout: float = 60) -> list[str]:
        """Until so many pods serve."""
        return (
            eventually(
                lambda: found if len(found := self.ready(name)) == count else None, timeout, what=f"{count} pods serve"
            )
            or []
        )


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""
