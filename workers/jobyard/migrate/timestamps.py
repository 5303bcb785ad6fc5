"""Times as other systems write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jobyard.migrate.source import CantMoveError


def seconds_of(text: Any) -> float | None:
    """UNIX time in seconds of a time in ISO 8601 (without a zone: UTC); None for None and an empty text.

    Raises:
        CantMoveError: it is no time.
    """
    if text is None or text == "":
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        raise CantMoveError("it holds a time that can't be understood") from None
