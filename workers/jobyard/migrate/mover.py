"""The moving: read a page, hand it in to our queue, and only then take it out of the other one.

Whenever this stops, even by a kill, each job is in the other queue, or in ours, or in both: never in none. A job keeps its id, so
what is in both is known at the next run, and is only taken out of the other queue.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dramatiq import Message

from jobyard.broker import JobyardBroker
from jobyard.migrate.source import CantMoveError, Entry, ForeignJob, Place, Source

#: Entries that are read, handed in and taken out together.
PAGE: Final = 200
#: The option of a job that says which entry of which system it was.
ORIGIN: Final = "imported"
_NAMESPACE: Final = uuid.UUID("0f8f3d5e-3a43-4a55-8f5e-3f8a2c8be2b7")
_EXAMPLES: Final = 3


@dataclass(slots=True)
class Skipped:
    """Entries that stay where they are, all for the same reason. `examples` are ids."""

    reason: str
    count: int = 0
    waiver: str | None = None
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What was done, counted on both sides.

    Attributes:
        found: entries that were looked at: moved + already_there + those that were skipped.
        moved: jobs that are ours now.
        already_there: entries whose job was in our queue before: an import that was stopped had brought it.
        taken: of these two, those that somebody took out of the other queue while they were moved: they may run twice.
        skipped: by reason.
        before, after: how many entries each place of the other queue had, has.
        accepted: how many jobs our queue has accepted while this ran, of whomever.
    """

    found: int = 0
    moved: int = 0
    already_there: int = 0
    taken: int = 0
    skipped: dict[str, Skipped] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    accepted: int = 0

    def skip(self, reason: str, count: int, *, waiver: str | None = None, examples: Sequence[str] = ()) -> None:
        """Count entries that stay."""
        one = self.skipped.setdefault(reason, Skipped(reason, waiver=waiver))
        one.count += count
        one.examples += list(examples)[: _EXAMPLES - len(one.examples)]

    @property
    def left(self) -> int:
        """How many entries the other queue has still."""
        return sum(self.after.values())


class Mover:
    """Moves the jobs of one queue of another system into one of ours.

    Args:
        queue: ours.
        names: the other system's name of a task → our actor. Others keep their names.
        limit: move no more than so many.
        dry_run: change nothing, only tell.
        progress: is called after each page.
    """

    def __init__(
        self,
        broker: JobyardBroker,
        source: Source,
        queue: str,
        *,
        names: Mapping[str, str] | None = None,
        limit: int | None = None,
        dry_run: bool = False,
        progress: Callable[[Report], None] = lambda _: None,
    ) -> None:
        self._broker = broker
        self._source = source
        self._queue = queue
        self._names = dict(names or {})
        self._limit = limit
        self._dry_run = dry_run
        self._progress = progress
        #: What was done so far. True at every moment, also where `run` raises.
        self.report = Report()

    def run(self) -> Report:
        """Move them.

        Raises:
            BrokerError, RateLimitExceeded: our side refuses, or can't be reached.
            redis.RedisError: the other side. In each case nothing is lost, and running it again goes on.
        """
        report = self.report
        places = self._source.places()
        report.before = {place.label: place.count() for place in places}
        accepted = self._broker.inspector.stats(self._queue).counts.get("accepted", 0)
        for place in places:
            if place.stays is not None:
                if report.before[place.label]:
                    report.found += report.before[place.label]
                    report.skip(f"{place.label}: {place.stays}", report.before[place.label])
                continue
            self._drain(place)
        report.after = {place.label: place.count() for place in places}
        report.accepted = self._broker.inspector.stats(self._queue).counts.get("accepted", 0) - accepted
        return report

    def _drain(self, place: Place) -> None:
        offset = 0
        while (room := self._room()) > 0:
            entries = place.read(offset, min(PAGE, room))
            if not entries:
                return
            offset += len(entries) - self._page(place, entries)
            self._progress(self.report)

    def _room(self) -> int:
        done = self.report.moved + self.report.already_there
        return PAGE if self._limit is None else self._limit - done

    def _page(self, place: Place, entries: Sequence[Entry]) -> int:
        """Returns how many entries are no longer where they were."""
        report = self.report
        report.found += len(entries)
        movable: list[Entry] = []
        for entry in entries:
            if isinstance(entry.found, CantMoveError):
                report.skip(entry.found.reason, 1, waiver=entry.found.waiver, examples=[entry.name])
            else:
                movable.append(entry)
        accepted = self._hand_in(movable)
        if self._dry_run or not accepted:
            return 0
        report.taken += len(accepted) - place.remove(accepted)
        return len(accepted)

    def _hand_in(self, entries: Sequence[Entry]) -> list[Entry]:
        """Returns those of the entries whose jobs are ours now, before or after this call."""
        jobs = [self._message(entry.found) for entry in entries if isinstance(entry.found, ForeignJob)]
        ids = [message.message_id for message, _ in jobs]
        known: dict[str, Any] = {
            job.id: job.options.get(ORIGIN) for job in self._broker.inspector.jobs_by_id(self._queue, ids)
        }
        ours: list[Entry] = []
        new: list[tuple[Entry, Message[Any], int | None]] = []
        for entry, (message, delay) in zip(entries, jobs, strict=True):
            origin = message.options[ORIGIN]
            if known.get(message.message_id, origin) != origin:
                # Another entry of the same id: it was sent twice there, so it is two jobs. The second gets an id of its own.
                message = message.copy(message_id=str(uuid.uuid5(_NAMESPACE, f"{self._queue}\0{origin}")))
                if self._broker.inspector.job(message.message_id, queue=self._queue) is not None:
                    known[message.message_id] = origin
            if message.message_id in known:
                self.report.already_there += 1
                ours.append(entry)
            else:
                known[message.message_id] = origin
                new.append((entry, message, delay))
        return ours + self._enqueue(new)

    def _enqueue(self, new: Sequence[tuple[Entry, Message[Any], int | None]]) -> list[Entry]:
        done: list[Entry] = []
        if self._dry_run:
            self.report.moved += len(new)
            return [entry for entry, _, _ in new]
        now = [(entry, message) for entry, message, delay in new if delay is None]
        try:
            self._broker.enqueue_many([message for _, message in now])
            done += [entry for entry, _ in now]
            one_by_one = [row for row in new if row[2] is not None]
        except (ValueError, TypeError):
            one_by_one = list(new)  # One of them can't be: find out which.
        self.report.moved += len(done)
        for entry, message, delay in one_by_one:
            try:
                self._broker.enqueue(message, delay=delay)
            except (ValueError, TypeError) as error:
                self.report.skip(f"our queue can't have it: {error}", 1, examples=[entry.name])
                continue
            self.report.moved += 1
            done.append(entry)
        return done

    def _message(self, job: ForeignJob) -> tuple[Message[Any], int | None]:
        now = time.time()
        options = {**job.options, ORIGIN: job.origin}
        if job.expires_at is not None:
            # What has expired meanwhile becomes a dead letter that says so, rather than nothing.
            options["expires"] = max(1, int((job.expires_at - now) * 1000))
        message: Message[Any] = Message(
            queue_name=self._queue,
            actor_name=self._names.get(job.task, job.task),
            args=job.args,
            kwargs=job.kwargs,
            options=options,
            message_id=job.id,
            message_timestamp=int(now * 1000) if job.created_at is None else job.created_at,
        )
        return message, max(1, int((job.due_at - now) * 1000)) if job.due_at is not None and job.due_at > now else None
