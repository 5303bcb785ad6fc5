"""What the chart makes of its values, and what Kubernetes' rules say about it."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Final

import yaml

from support.kubernetes_tools import helm, kubectl

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "jobyard"
NAMESPACE: Final = "jobyard-system"

Document = dict[str, Any]


def render(values: dict[str, Any] | None = None, *arguments: str) -> list[Document]:
    """The objects that `helm install` would make.

    Raises:
        ToolFailed: the chart refuses the values.
    """
    # Rendering is what takes time here; many tests look at the same.
    text = _rendered(json.dumps(values or {}, sort_keys=True), arguments)
    return [document for document in yaml.safe_load_all(text) if document is not None]


@functools.cache
def _rendered(values: str, arguments: tuple[str, ...]) -> str:
    return helm(
        "template", "jobyard", CHART, "--namespace", NAMESPACE, "--values", "-", *arguments, given=values
    )  # fmt: skip


@functools.cache
def _kustomized(folder: str) -> str:
    return kubectl("kustomize", ROOT / folder)


def kustomize(folder: str) -> list[Document]:
    """The objects that `kubectl apply -k FOLDER` would make."""
    return list(yaml.safe_load_all(_kustomized(folder)))


def one(documents: list[Document], kind: str, name: str = "") -> Document:
    """The one object of this kind, or of this kind and name."""
    [found] = [
        document for document in documents if document["kind"] == kind and name in ("", document["metadata"]["name"])
    ]
    return found


def pod_spec(document: Document) -> Document | None:
    """The spec of the pods that come of an object; None: none do."""
    if document["kind"] in ("Deployment", "StatefulSet", "Job"):
        spec: Document = document["spec"]["template"]["spec"]
        return spec
    return None


def env(container: Document) -> dict[str, Any]:
    """The variables of a container: their values, or where these come from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}


def restricted_violations(spec: Document) -> list[str]:
    """What of a pod the restricted Pod Security Standard refuses, of those rules that can be broken by what we write."""
    pod = spec.get("securityContext", {})
    found = [field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    allowed = {
        "configMap",
        "emptyDir",
        "projected",
        "secret",
        "downwardAPI",
        "persistentVolumeClaim",
        "ephemeral",
        "csi",
    }
    found += [f"volume {each['name']}" for each in spec.get("volumes", []) if not allowed & each.keys()]
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        own = container.get("securityContext", {})
        rules = {
            "runAsNonRoot": own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True,
            "runAsUser": own.get("runAsUser", pod.get("runAsUser")) != 0,
            "seccompProfile": own.get("seccompProfile", pod.get("seccompProfile")) == {"type": "RuntimeDefault"},
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "privileged": not own.get("privileged"),
            "hostPort": not any("hostPort" in port for port in container.get("ports", [])),
        }
        found += [f"{container['name']}: {rule}" for rule, kept in rules.items() if not kept]
    return found
