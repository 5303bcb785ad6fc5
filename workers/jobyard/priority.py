"""Priorities: integers from 0 to 100, the lower the sooner, across the whole fleet."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Priority(IntEnum):
    """The four usual levels. Any integer from 0 to 100 may stand between them."""

    CRITICAL = 1
    HIGH = 2
    NORMAL = 5
    LOW = 10


HIGHEST: Final = 0
LOWEST: Final = 100


def clamp(priority: int) -> int:
    """The nearest priority that exists. Programs written for Dramatiq may use any integer."""
    return max(HIGHEST, min(LOWEST, int(priority)))
