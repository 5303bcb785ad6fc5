"""Fields of an applied object that somebody else owns are left to them: what to apply when the API server says so."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable
from typing import Any, Final

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[([^\]]*)\]")


def conflicting(details: dict[str, Any]) -> list[str]:
    """The paths of the fields that an apply conflicts on, from the details of the API server's answer."""
    causes = details.get("causes") or ()
    return [cause["field"] for cause in causes if cause.get("reason") == "FieldManagerConflict" and cause.get("field")]


def without(whole: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """The object without these fields. Unknown ones are skipped.

    Args:
        paths: such as `.spec.template.spec.containers[name="worker"].image`.
    """
    left = copy.deepcopy(whole)
    for path in paths:
        _remove(left, _steps(path))
    return left


def owned_by_others(managed: Iterable[dict[str, Any]], manager: str, *path: str) -> bool:
    """Whether anybody but `manager` owns a field, by an object's managedFields.

    Args:
        path: the names of the fields on the way: `spec`, `replicas`.
    """
    return any(one.get("manager") != manager and _has(one.get("fieldsV1"), path) for one in managed)


def _has(fields: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        fields = fields.get(f"f:{name}") if isinstance(fields, dict) else None
    return fields is not None


def _steps(path: str) -> list[str | dict[str, Any]]:
    steps: list[str | dict[str, Any]] = []
    for name, keys in _STEP.findall(path):
        if name:
            steps.append(name)
        else:
            steps.append({key: json.loads(value) for key, value in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\d+)', keys)})
    return steps


def _remove(node: Any, steps: list[str | dict[str, Any]]) -> None:
    for at, step in enumerate(steps[:-1]):
        rest = steps[at:]
        if isinstance(node, dict) and all(isinstance(one, str) for one in rest) and ".".join(map(str, rest)) in node:
            # The name of a label has dots itself.
            del node[".".join(map(str, rest))]
            return
        node = _child(node, step)
        if node is None:
            return
    last = steps[-1] if steps else None
    if isinstance(node, dict) and isinstance(last, str):
        node.pop(last, None)
    elif isinstance(node, list) and isinstance(last, dict):
        found = _child(node, last)
        if found is not None:
            node.remove(found)


def _child(node: Any, step: str | dict[str, Any]) -> Any:
    if isinstance(step, str):
        return node.get(step) if isinstance(node, dict) else None
    if isinstance(node, list):
        return next((one for one in node if all(one.get(key) == value for key, value in step.items())), None)
    return None
