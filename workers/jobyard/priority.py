"""Priorities: integers from 0 to 100, the lower the sooner, across the whole fleet."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError


class Priority(IntEnum):
    """The four usual levels. Any integer from 0 to 100 may stand between them."""

    CRITICAL = 1
    HIGH = 2
    NORMAL = 5
    LOW = 10


HIGHEST: Final = 0
LOWEST: Final = 100

_NAMES: Final = [level.name.lower() for level in Priority]
_WANTED: Final = f"give {', '.join(_NAMES)} or an integer from {HIGHEST} to {LOWEST}"


def clamp(priority: int) -> int:
    """The nearest priority that exists. Programs written for Dramatiq may use any integer."""
    return max(HIGHEST, min(LOWEST, int(priority)))


def by_name(value: Any) -> Any:
    """The number of a level that is given by its name, in whatever case; anything but a text is returned as it is.

    Raises:
        ValueError: there is no such level, or the value is True or False.
    """
    if isinstance(value, bool):
        raise _refusal(f"{_WANTED}, not a truth value")
    if isinstance(value, str):
        try:
            return Priority[value.strip().upper()].value
        except KeyError:
            raise _refusal(_WANTED) from None
    return value


def _refusal(reason: str) -> ValueError:
    # Of this class, pydantic shows the reason without a prefix of its own.
    return PydanticCustomError("priority", "{reason}", {"reason": reason})


#: What marks a field of a payload as the job's priority.
PRIORITY_MARK: Final = BeforeValidator(by_name)

#: A payload's field for the priority of its job: a level's name, an integer, or None for the actor's own.
#: `priority: PriorityField = None` is all it takes: `jobyard.actor` gives the message the priority that was sent.
PriorityField = Annotated[
    Annotated[int, Field(ge=HIGHEST, le=LOWEST)] | None,
    PRIORITY_MARK,
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": _NAMES},
                {"type": "integer", "minimum": HIGHEST, "maximum": LOWEST},
                {"type": "null"},
            ]
        }
    ),
]
