"""Values that are given as JSON on the command line."""

from __future__ import annotations

import json
from typing import Any

from jobyard.cli.connection import fail
from jobyard.cli.statuses import Status


def json_list(text: str, name: str) -> list[Any]:
    """A JSON array; otherwise the command ends with a sentence that names the option."""
    value = _read(text, name)
    if not isinstance(value, list):
        fail(f"{name} is a JSON array, such as '[1, \"two\"]', not {text[:80]!r}", Status.USAGE)
    return value


def json_object(text: str, name: str) -> dict[str, Any]:
    """A JSON object, likewise."""
    value = _read(text, name)
    if not isinstance(value, dict):
        fail(f'{name} is a JSON object, such as \'{{"to": "ada@example.org"}}\', not {text[:80]!r}', Status.USAGE)
    return value


def _read(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        fail(f"{name} is not JSON: {error}", Status.USAGE)
