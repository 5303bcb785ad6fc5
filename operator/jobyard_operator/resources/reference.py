"""The fields of a resource as a table in Markdown, from its schema: docs/operator/jobqueue.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def table(schema: dict[str, Any]) -> str:
    """One row a field, in the order of the model."""
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    rows += [
        f"| `{path}` | {_type(node)} | {_default(node, required)} | {_escaped(node.get('description', ''))} |"
        for path, node, required in _fields(schema, "")
    ]
    return "\n".join(rows) + "\n"


def _fields(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    required = schema.get("required", [])
    for name, node in schema.get("properties", {}).items():
        yield prefix + name, node, name in required
        inner = node.get("items", node)
        yield from _fields(inner, f"{prefix}{name}{'[]' if 'items' in node else ''}.")


def _type(node: dict[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if node.get("type") == "integer" and "minimum" in node and "maximum" in node:
        return f"{node['minimum']} … {node['maximum']}"
    if node.get("type") == "array":
        return f"list of {node['items'].get('type', 'values')}s"
    if "additionalProperties" in node:
        return "map"
    return str(node.get("type", "quantity"))


def _default(node: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    default = node.get("default")
    if default is None or default == {}:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
