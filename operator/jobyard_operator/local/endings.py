"""Which jobs have ended, or failed in an attempt, since one last looked. Reads; costs next to nothing when nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from jobyard.broker.inspector import Job, QueueStats
from jobyard.broker.states import State

if TYPE_CHECKING:
    from jobyard.broker import JobyardBroker

#: Jobs of one kind that are read at a time; of more than that, the others are only counted.
_MOST: Final = 100

Kind = Literal["completed", "dead", "cancelled", "failed"]

#: What it is, where such jobs lie, and the counter that grows with each.
_ENDS: Final[tuple[tuple[Kind, State, str], ...]] = (
    ("completed", "completed", "completed"),
    ("dead", "dead", "failed"),
    ("cancelled", "cancelled", "cancelled"),
    ("failed", "delayed", "retried"),
)


@dataclass(frozen=True, slots=True)
class Ending:
    """A job that has completed, become a dead letter, been cancelled; or an attempt that failed and will be repeated."""

    kind: Kind
    job: Job
    at: int


@dataclass(frozen=True, slots=True)
class News:
    """What has happened, the oldest first, and how many more endings there were than could be read."""

    endings: list[Ending]
    unread: int
    stats: list[QueueStats]


class Endings:
    """Looks at all queues of a broker again and again. What ended before the first look is no news."""

    def __init__(self, broker: JobyardBroker) -> None:
        self._broker = broker
        #: For each queue the server's time of the last look, in ms, and what was known then.
        self._looks: dict[str, tuple[int, dict[str, int]]] = {}
        self._told: dict[tuple[str, str, str], int] = {}
        self._first_look = True

    def look(self) -> News:
        """What is new.

        Raises:
            BrokerError: no answer.
        """
        inspector = self._broker.inspector
        all_stats = [inspector.stats(name) for name in inspector.queues()]
        endings: list[Ending] = []
        unread = 0
        for stats in all_stats:
            # A queue that appears later had nothing before: all of it is news.
            since, counts = self._looks.get(stats.queue, (0, {}))
            self._looks[stats.queue] = (stats.now, stats.counts)
            if self._first_look:
                # What ended in this very millisecond must not be taken for news next time.
                for old in self._changed(stats, {}, stats.now):
                    self._is_new(old)
                continue
            if counts == stats.counts:
                continue
            found = [one for one in self._changed(stats, counts, since) if self._is_new(one)]
            ended = sum(
                stats.counts.get(name, 0) - counts.get(name, 0) for name in ("completed", "failed", "cancelled")
            )
            unread += max(0, ended - sum(one.kind != "failed" for one in found))
            endings += found
        self._first_look = False
        oldest = min((since for since, _ in self._looks.values()), default=0) - 1000
        self._told = {key: at for key, at in self._told.items() if at >= oldest}
        return News(sorted(endings, key=lambda one: one.at), unread, all_stats)

    def _changed(self, stats: QueueStats, counts: dict[str, int], since: int) -> Iterator[Ending]:
        # The order of two things that happen in one millisecond is not known: what is told twice is taken out later.
        for kind, place, count in _ENDS:
            if stats.counts.get(count, 0) > counts.get(count, 0):
                for job in self._broker.inspector.jobs(stats.queue, place, limit=_MOST):
                    at = (
                        job.ended_at if place != "delayed" else (job.errors[-1].get("ended_at") if job.errors else None)
                    )
                    if at is not None and at >= since:
                        yield Ending(kind, job, at)

    def _is_new(self, one: Ending) -> bool:
        key = (one.kind, one.job.queue, one.job.id)
        if self._told.get(key) == one.at:
            return False
        self._told[key] = one.at
        return True
