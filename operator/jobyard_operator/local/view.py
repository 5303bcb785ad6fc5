"""What a yard looks like at one moment, and who shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from jobyard.broker.inspector import Job, QueueStats
from jobyard.broker.workers import WorkerInfo
from jobyard_operator.local.endings import Ending
from jobyard_operator.local.yard import Places


@dataclass(frozen=True, slots=True)
class View:
    """One moment.

    Attributes:
        stats: of all queues.
        workers: the worker processes that are there.
        running: some of the jobs that run.
    """

    stats: list[QueueStats] = field(default_factory=list)
    workers: list[WorkerInfo] = field(default_factory=list)
    running: list[Job] = field(default_factory=list)


class Teller(Protocol):
    """Tells people how it goes: on a terminal, or in lines."""

    def ready(self, places: Places, samples: int) -> None:
        """Everything is started, and so many sample jobs are enqueued."""

    def event(self, text: str) -> None:
        """Something has happened to a part. May come from any thread."""

    def ended(self, ending: Ending, result: str) -> None:
        """A job has ended, or an attempt has failed."""

    def unread(self, count: int) -> None:
        """So many more jobs have ended."""

    def look(self, view: View) -> None:
        """How it is now."""

    def closing(self) -> None:
        """From now on the workers are being stopped."""

    def close(self) -> None:
        """Nothing more comes, but what is printed."""
