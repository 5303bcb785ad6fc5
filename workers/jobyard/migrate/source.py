"""What a queue of another system looks like to the mover: places that hold entries, each of which is a job or can't be moved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

#: Reasons for which a job stays that the person may waive with `--without`: what the job loses is not work.
WAIVABLE: Final = ("group", "meta")


class CantMoveError(Exception):
    """An entry stays where it is.

    Attributes:
        reason: for people, the same words for all entries with this reason.
        waiver: what `--without` takes to move it all the same; None: nothing does.
    """

    def __init__(self, reason: str, *, waiver: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.waiver = waiver


@dataclass(frozen=True, slots=True)
class ForeignJob:
    """A job as another system has it.

    Attributes:
        origin: names the entry for good, so that the same entry is never taken for two jobs, nor two entries for one.
        due_at: UNIX time in seconds before which it must not start; None: it may now.
        expires_at: UNIX time in seconds by which it must have started; None: at any time.
        created_at: UNIX time in milliseconds; None: not known.
        options: options of a message, as Dramatiq and Jobyard know them.
    """

    id: str
    origin: str
    task: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    due_at: float | None = None
    expires_at: float | None = None
    created_at: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies in one place of a queue.

    Attributes:
        handle: what the place needs to remove it.
        name: the job's id there, as far as it can be told.
        found: the job, or why it stays.
    """

    handle: bytes
    name: str
    found: ForeignJob | CantMoveError


class Place(ABC):
    """Some of a queue's jobs, in the order in which that system would start them.

    Attributes:
        label: for people: `waiting`, `delayed`, `in flight`, `dead letters`.
        stays: why its jobs are left alone; None: they are moved.
    """

    def __init__(self, label: str, *, stays: str | None = None) -> None:
        self.label = label
        self.stays = stays

    @abstractmethod
    def count(self) -> int:
        """How many entries are there now."""

    @abstractmethod
    def read(self, offset: int, count: int) -> list[Entry]:
        """So many entries, after so many others. Changes nothing; fewer than `count`: there are no more."""

    @abstractmethod
    def remove(self, entries: Sequence[Entry]) -> int:
        """Take these out of the other system for good. Returns how many of them were still there."""


class Source(Protocol):
    """A queue of another system."""

    #: The system's name.
    system: str

    def places(self) -> list[Place]:
        """Where its jobs are."""


@dataclass(frozen=True, slots=True)
class Request:
    """What of a queue is wanted.

    Attributes:
        prefix: what the names of that system's keys begin with; None: what is usual there.
        in_flight: take what a worker had taken, too. Only right when all workers of that system have stopped.
        dead_letters: take what that system has given up, too: it is tried again.
        without: parts of a job that may be left behind, of `WAIVABLE`.
    """

    queue: str
    prefix: str | None = None
    in_flight: bool = False
    dead_letters: bool = False
    without: frozenset[str] = frozenset()


IN_FLIGHT: Final = "a worker had taken them: --in-flight takes them too, once all workers of that system have stopped"
DEAD_LETTERS: Final = "that system has given them up: --dead-letters takes them too, to be tried again"


def decoded(handle: bytes, name: str, decode: Callable[[], ForeignJob]) -> Entry:
    """An entry, with the reason where it can't be moved."""
    try:
        return Entry(handle, name, decode())
    except CantMoveError as reason:
        return Entry(handle, name, reason)
