"""The time of a `MemoryBroker`: it stands still until it is moved."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """A clock that moves when it is told to.

    Args:
        start: what time it is in the beginning; None: what time it really is.

    Attributes:
        milliseconds: UNIX time.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self.milliseconds = int((time.time() if start is None else start.timestamp()) * 1000)

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)
