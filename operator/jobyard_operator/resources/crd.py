"""CustomResourceDefinitions from the models: structural OpenAPI v3 as the API server accepts it.

pydantic's JSON schema says more than Kubernetes allows: references, `anyOf` for what may be null, titles. Here it is rewritten:
everything inline, what may be null is just left out, integers have a format. A union that would remain is refused.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from jobyard_operator.resources.deadjob import DeadJob, DeadJobSpec
from jobyard_operator.resources.jobqueue import JobQueue, JobQueueSpec, JobQueueStatus
from jobyard_operator.resources.jobschedule import JobSchedule, JobScheduleSpec, JobScheduleStatus
from jobyard_operator.resources.meta import GROUP, VERSION

#: Keywords that mean the same in Kubernetes.
_KEPT = (
    "description", "type", "format", "default", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "minProperties", "maxProperties", "required",
)  # fmt: skip
_NULL = {"type": "null"}


class SchemaError(Exception):
    """A model says what a structural schema can't."""


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's structural schema.

    Raises:
        SchemaError: it uses what Kubernetes can't express: a union, a recursive model.
    """
    whole = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(whole, whole.get("$defs", {}), model.__name__)


def _structural(node: dict[str, Any], definitions: dict[str, Any], where: str) -> dict[str, Any]:
    node = _inline(node, definitions, where)
    if node.get("x-kubernetes-int-or-string"):
        return {
            key: value
            for key, value in node.items()
            if (key in _KEPT and key != "type") or key.startswith("x-kubernetes-")
        }
    if node.get("x-kubernetes-preserve-unknown-fields") and "type" not in node:
        return {key: value for key, value in node.items() if key == "description" or key.startswith("x-kubernetes-")}
    result: dict[str, Any] = {key: node[key] for key in _KEPT if key in node and node[key] is not None}
    result |= {key: value for key, value in node.items() if key.startswith("x-kubernetes-")}
    if "const" in node:
        result["enum"] = [node["const"]]
    if isinstance(result.get("default"), dict):
        # Each field has its own default, which the API server fills in.
        result["default"] = {}
    if result.get("default") == []:
        del result["default"]
    if "properties" in node:
        result["properties"] = {
            name: _structural(value, definitions, f"{where}.{name}") for name, value in node["properties"].items()
        }
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _structural(node["additionalProperties"], definitions, f"{where}.*")
    elif node.get("type") == "object" and not node.get("x-kubernetes-preserve-unknown-fields"):
        raise SchemaError(f"{where}: an object without fields would be pruned to nothing")
    if "items" in node:
        result["items"] = _structural(node["items"], definitions, f"{where}[]")
    if node.get("type") == "integer":
        result.setdefault("format", "int32" if node.get("maximum", 2**63) < 2**31 else "int64")
    if "type" not in result:
        raise SchemaError(f"{where}: no type; a structural schema has one everywhere")
    return result


def _inline(node: dict[str, Any], definitions: dict[str, Any], where: str) -> dict[str, Any]:
    """With references and `X or null` replaced by what they stand for; what is said beside them wins."""
    while "$ref" in node or "anyOf" in node or "allOf" in node:
        beside = {key: value for key, value in node.items() if key not in ("$ref", "anyOf", "allOf")}
        if "$ref" in node:
            meant = definitions[node["$ref"].rsplit("/", 1)[1]]
        elif node.get("x-kubernetes-int-or-string"):
            meant = {}
        else:
            choices = [choice for choice in node.get("anyOf") or node["allOf"] if choice != _NULL]
            if len(choices) != 1:
                raise SchemaError(f"{where}: a union of {len(choices)} types; Kubernetes has none")
            meant = choices[0]
        node = {**meant, **beside}
    return node


def _definition(
    kind: str,
    plural: str,
    short: str,
    description: str,
    properties: dict[str, Any],
    columns: list[dict[str, Any]],
    subresources: dict[str, Any] | None = None,
    root_rules: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    root: dict[str, Any] = {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}"},
            "kind": {"type": "string", "description": kind},
            "metadata": {"type": "object"},
            **properties,
        },
    }
    if root_rules:
        root["x-kubernetes-validations"] = root_rules
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root},
        "additionalPrinterColumns": columns,
    }
    if subresources:
        version["subresources"] = subresources
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["jobyard"],
            },
            "versions": [version],
        },
    }


def _column(name: str, kind: str, path: str, description: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "jsonPath": path, "description": description, **more}


def definitions() -> dict[str, dict[str, Any]]:
    """All our CustomResourceDefinitions, by plural name."""
    # A pod's labels carry the JobQueue's name.
    short_name = {
        "rule": "size(self.metadata.name) <= 63",
        "message": "the name is the value of a label on pods: choose one of at most 63 characters",
    }
    age = _column("Age", "date", ".metadata.creationTimestamp", "When it was created.")
    jobqueue = _definition(
        "JobQueue",
        "jobqueues",
        "jq",
        str(JobQueue.__doc__),
        {"spec": schema(JobQueueSpec), "status": schema(JobQueueStatus)},
        [
            _column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether all is well."),
            _column("Replicas", "integer", ".status.readyReplicas", "Pods that serve."),
            _column("Desired", "integer", ".status.decision.desiredReplicas", "How many there shall be.", priority=1),
            _column("Waiting", "integer", ".status.waiting", "Jobs that could start."),
            _column("Active", "integer", ".status.active", "Jobs that run.", priority=1),
            _column("Oldest", "integer", ".status.oldestSeconds", "Seconds that the first waiting job has waited."),
            _column("Dead", "integer", ".status.dead", "Dead letters."),
            _column("Reason", "string", ".status.decision.reason", "Why there are so many replicas."),
            age,
        ],
        {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        [short_name],
    )
    deadjob = _definition(
        "DeadJob",
        "deadjobs",
        "dj",
        str(DeadJob.__doc__),
        {"spec": schema(DeadJobSpec)},
        [
            _column("Queue", "string", ".spec.queue", "Its queue."),
            _column("Actor", "string", ".spec.actor", "What it would have run."),
            _column("Error", "string", ".spec.errorType", "Type of the last error."),
            _column("Message", "string", ".spec.errorMessage", "The last error.", priority=1),
            _column("Attempts", "integer", ".spec.attempts", "How often it was tried."),
            _column("Died", "date", ".spec.diedTime", "When it died."),
        ],
    )
    jobschedule = _definition(
        "JobSchedule",
        "jobschedules",
        "jsched",
        str(JobSchedule.__doc__),
        {"spec": schema(JobScheduleSpec), "status": schema(JobScheduleStatus)},
        [
            _column("Schedule", "string", ".spec.schedules[0]", "When it fires; the first of its schedules."),
            _column("Zone", "string", ".spec.timeZone", "Its time zone.", priority=1),
            _column("Suspend", "boolean", ".spec.suspend", "Whether it is suspended."),
            _column("Active", "integer", ".status.activeRuns", "Runs that have not ended."),
            _column("Last", "date", ".status.lastScheduleTime", "When it fired last."),
            _column("Next", "string", ".status.nextScheduleTimes[0]", "When it fires next."),
            _column("Failed", "integer", ".status.counters.failed", "Runs that failed."),
            _column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether all is well."),
            age,
        ],
        {"status": {}},
    )
    return {"jobqueues": jobqueue, "deadjobs": deadjob, "jobschedules": jobschedule}
