"""Times in requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema


def _read(value: Any) -> int:
    """Milliseconds since 1970."""
    if not isinstance(value, str):
        raise ValueError("is a text: a time in ISO 8601, such as 2026-11-24T07:31:31Z")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("is a time in ISO 8601, such as 2026-11-24T07:31:31Z") from None
    if moment.tzinfo is None:
        raise ValueError("says no time zone: end it with Z, or with an offset such as +01:00")
    try:
        return int(moment.astimezone(UTC).timestamp() * 1000)
    except OverflowError:
        raise ValueError("is too far away") from None


def _since_1970(ms: int) -> int:
    if ms < 0:
        raise ValueError("is before 1970")
    return ms


#: A time in ISO 8601 with its time zone; in milliseconds since 1970.
Moment = Annotated[
    int,
    Field(strict=True),
    BeforeValidator(_read),
    AfterValidator(_since_1970),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
