"""What a test of the operator works with that needs no pods: they are made, and never run. Workers are played by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from cluster.control.scene import Scene
from support.hand import Hand, message, next_millisecond
from support.waiting import eventually

#: No node has this label.
NOWHERE = {"jobyard.dev/nowhere": "true"}


class PaperScene(Scene):
    """A scene whose pods stay on paper."""

    def jobqueue(
        self, name: str = "jq", *, queue: str = "work", worker: dict[str, Any] | None = None, **spec: Any
    ) -> None:
        """Apply a JobQueue whose pods are never placed on a node."""
        template = {"spec": {"nodeSelector": NOWHERE}}
        common = {"image": "registry.example/shop:1", "modules": ["jobs"], "threads": 2, "podTemplate": template}
        whole = {
            "apiVersion": "jobyard.dev/v1alpha1",
            "kind": "JobQueue",
            "metadata": {"name": name},
            "spec": {
                "queue": queue,
                "redis": {"secretRef": {"name": "redis"}},
                "worker": {**common, **(worker or {})},
                **spec,
            },
        }
        self.cluster.apply(self.namespace, whole)

    def settled(self, name: str = "jq", timeout: float = 20) -> None:
        """Wait until the operator has seen the JobQueue as it is now, and says that it is ready."""
        arguments = ("--for=condition=Ready", f"jobqueue/{name}", f"--timeout={timeout:g}s")
        eventually(
            lambda: self.status(name).get("observedGeneration") == self.get(name)["metadata"]["generation"],
            timeout,
            what="the operator has seen it",
        )
        self.kubectl("wait", *arguments)

    def change(self, spec: dict[str, Any], name: str = "jq") -> None:
        """Merge a change into the spec of a JobQueue."""
        self.kubectl("patch", "jobqueue", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def annotate(self, name: str = "jq", **annotations: str) -> None:
        """Give commands: `annotate(retry_dead="all")`."""
        pairs = [f"jobyard.dev/{key.replace('_', '-')}={value}" for key, value in annotations.items()]
        self.kubectl("annotate", "jobqueue", name, "--overwrite", *pairs)

    def command(self, annotation: str, name: str = "jq") -> dict[str, Any]:
        """What the status says of the last command of a kind; {} while there was none."""
        told = self.status(name).get("commands") or ()
        return next((one for one in told if one["annotation"] == f"jobyard.dev/{annotation}"), {})

    def commanded(self, annotation: str, value: str, timeout: float = 20) -> dict[str, Any]:
        """Give a command and wait for its outcome."""
        self.annotate(**{annotation.replace("-", "_"): value})

        def ended() -> dict[str, Any] | None:
            told = self.command(annotation)
            return told if told.get("token") == value and told["outcome"] != "Running" else None

        return eventually(ended, timeout, what=f"{annotation}={value} has ended") or {}

    @cached_property
    def worker(self) -> Hand:
        """A worker process, played by hand."""
        return Hand(self.broker, ["work"], 15, 2)

    def release(self) -> None:
        if "worker" in self.__dict__:
            self.worker.dispatcher.close()

    def bury(self, ids: Sequence[str], *, actor: str = "fail", error: BaseException | None = None) -> None:
        """Make dead letters with these ids, one after the other. Nothing else may wait."""
        for one in ids:
            self.broker.enqueue(message("work", actor=actor, job_id=one))
            self.worker.bury(self.worker.fetch_one(), error)
            next_millisecond(self.broker)

    def dead(self) -> list[str]:
        """The ids of the dead letters, the oldest first."""
        return [job.id for job in self.broker.dead_letters.select("work")]

    def dead_jobs(self) -> dict[str, Any]:
        """The DeadJob objects by name."""
        found = self.cluster.get(self.namespace, "deadjobs")["items"]
        return {one["metadata"]["name"]: one for one in found}
