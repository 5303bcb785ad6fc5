"""Values on the command line that are more than a text or a number: lengths of time, priorities, JSON."""

from __future__ import annotations

import json
from typing import Any

import typer

from jobyard.cli.connection import fail
from jobyard.cli.durations import parse_duration
from jobyard.cli.statuses import Status
from jobyard.priority import HIGHEST, LOWEST, Priority


def duration(text: str) -> int:
    """An option's length of time, in milliseconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def level(text: str) -> int:
    """An option's priority: the name of a level, or its number."""
    word = text.strip()
    if word.upper() in Priority.__members__:
        return Priority[word.upper()].value
    if word.isascii() and word.isdecimal() and len(word) < 9 and HIGHEST <= int(word) <= LOWEST:
        return int(word)
    names = ", ".join(Priority.__members__).lower()
    raise typer.BadParameter(f"a priority is {names} or an integer from {HIGHEST} to {LOWEST}, not {text[:40]!r}")


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
