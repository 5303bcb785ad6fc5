"""The fields of a resource as a table in Markdown, from its schema, and pages with such parts in them: docs/operator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def table(schema: dict[str, Any]) -> str:
    """One row a field, in the order of the model."""
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    rows += [
        f"| `{path}` | {_type(node)} | {_default(node, required)} | {_escaped(node.get('description', ''))} |"
        for path, node, required in _fields(schema, "")
    ]
    return "\n".join(rows) + "\n"


def filled(page: Path, parts: dict[str, str]) -> str:
    """The text of the page with what is between its marks (`<!-- NAME: … -->`, `<!-- end -->`) replaced.

    Raises:
        ValueError: the page has no such marks, or several.
    """
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        marks = list(re.finditer(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end -->)", text, re.DOTALL))
        if len(marks) != 1:
            raise ValueError(f"{page}: {len(marks)} places for {name}, not one")
        text = f"{text[: marks[0].end(1)]}\n{part}\n{text[marks[0].start(2) :]}"
    return text


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
