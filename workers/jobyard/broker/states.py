"""The states of a job, and where in Redis the jobs of each one lie: its place is its state."""

from __future__ import annotations

from typing import Final, Literal

State = Literal["delayed", "waiting", "parked", "active", "dead", "completed", "cancelled"]

#: Where the jobs of each state lie, and whether the newest come first in a list.
PLACES: Final[dict[State, tuple[str, bool]]] = {
    "waiting": ("ready", False),
    "delayed": ("scheduled", False),
    "parked": ("parked", False),
    "active": ("active", False),
    "dead": ("dead", True),
    "completed": ("completed", True),
    "cancelled": ("cancelled", True),
}

#: In this order jobs of all states are listed: what happens now comes first.
STATES: Final[tuple[State, ...]] = ("active", "waiting", "parked", "delayed", "dead", "completed", "cancelled")

#: Of jobs with which nothing more happens by itself.
ENDED: Final[frozenset[State]] = frozenset(("dead", "completed", "cancelled"))
