"""The records of batches in Redis: make one, enter jobs, seal it, look at it, stop it. `jobyard.batch` is what users see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from jobyard.broker.delivery import FollowUp
from jobyard.broker.notices import callback_fields, deliver, home_of
from jobyard.broker.paging import pages
from jobyard.broker.scripts import Argument, script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

#: Jobs in one call.
_PAGE: Final = 1000
#: Before the home of a batch that is part of another one, where that has the queues of its jobs.
INNER: Final = "@"
KINDS: Final = ("success", "failure", "complete")


@dataclass(frozen=True, slots=True)
class BatchFailure:
    """The first job of a batch that did not complete, and what became of it: dead, cancelled or discarded.

    For a batch in the batch: that one's id, and dead.
    """

    job_id: str
    queue: str
    state: str


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch as it is now. Times are UNIX times in milliseconds, None where that has not happened.

    Attributes:
        total: how many jobs belong to it: pending, completed, failed (dead letters), cancelled or discarded.
        callbacks: those that were called (`success`, `failure`, `complete`), and when.
        first_failure: None: none has failed. It stays when that job is retried.
        enqueued_at: when all its jobs were enqueued. No callback is called before.
        ended_at: when the last of its jobs ended. None again if a dead letter is retried.
        cancelled_at: when somebody cancelled it.
    """

    id: str
    description: str
    tags: tuple[str, ...]
    total: int
    completed: int
    failed: int
    cancelled: int
    discarded: int
    callbacks: Mapping[str, int]
    first_failure: BatchFailure | None
    created_at: int
    enqueued_at: int | None
    ended_at: int | None
    cancelled_at: int | None

    @property
    def pending(self) -> int:
        """How many jobs have not ended."""
        return self.total - self.completed - self.failed - self.cancelled - self.discarded

    @property
    def ended(self) -> bool:
        """Whether all jobs were enqueued and have ended."""
        return self.ended_at is not None

    @property
    def succeeded(self) -> bool:
        """Whether all jobs were enqueued and have completed."""
        return self.ended and self.completed == self.total


class Batches:
    """The batches of a broker."""

    def __init__(self, broker: JobyardBroker) -> None:
        self._broker = broker

    def enter(
        self, batch_id: str, jobs: Sequence[tuple[str, str]], *, adder: str = "", record: Sequence[Argument], keep: int
    ) -> tuple[str, set[str]]:
        """Enter jobs (id and queue). The first call makes the batch, from the fields and values in `record`.

        Returns:
            What `batch_enter.lua` says, and the ids of jobs that have ended already.
        """
        home, name = home_of(batch_id)
        keys = self._broker.keys(home)
        ended: set[str] = set()
        for some in pages(jobs, _PAGE) if jobs else [()]:
            arguments: list[Argument] = [adder, keep, len(record) // 2, *record]
            for job_id, queue in some:
                arguments += (job_id, queue)
            said, *ids = self._broker.link.call(script("batch_enter"), keys.batch(name), arguments)
            if said != b"open":
                return said.decode(), set()
            ended.update(one.decode() for one in ids)
        return "open", ended

    def seal(self, batch_id: str, *, strangers: Sequence[str] = (), added: Sequence[str] = (), whole: bool) -> bool:
        """The jobs that were entered are enqueued now.

        Args:
            strangers: those that turned out to be none of the batch.
            added: those that were added by a job of the batch.
            whole: these were the last ones that the batch's maker had.

        Returns:
            Whether the batch was cancelled meanwhile.
        """
        home, name = home_of(batch_id)
        keys = self._broker.keys(home)
        all_keys = (*keys.batch(name), *keys.all)
        calls = False
        stopped = False
        some_added = list(pages(added, _PAGE)) or [()]
        for number, some in enumerate(some_added, 1):
            last = number == len(some_added)
            leaving = strangers if number == 1 else ()
            arguments: list[Argument] = [batch_id, b"1" if whole and last else b"", len(leaving), *leaving, *some]
            stop, call = self._broker.link.call(script("batch_seal"), all_keys, arguments)
            stopped, calls = stopped or bool(stop), calls or bool(call)
        if calls:
            self.hear([home])
        return stopped

    def stop(self, batch_id: str) -> dict[str, str]:
        """Accept no more jobs, and cancel all that are pending. Returns the state that each of these had."""
        record, jobs_key, _ = self._keys(batch_id)
        link = self._broker.link
        if not link.command(b"EXISTS", record, key=record):
            return {}
        now = self._broker.inspector.stats(home_of(batch_id)[0]).now
        link.command(b"HSETNX", record, b"stopped", now, key=record)
        by_queue: defaultdict[str, list[str]] = defaultdict(list)
        before: dict[str, str] = {}
        flat = link.command(b"HGETALL", jobs_key, key=jobs_key)
        for job_id, value in zip(flat[::2], flat[1::2], strict=True):
            state, _, queue = value.decode().split(" ", 2)
            if state == "pending" and queue.startswith(INNER):
                before |= self.stop(job_id.decode())
            elif state == "pending":
                by_queue[queue].append(job_id.decode())
        for queue, ids in by_queue.items():
            before |= self._broker.cancel_many(queue, ids)
        return before

    def status(self, batch_id: str) -> BatchStatus | None:
        """A batch as it is now; None: unknown, or no longer kept."""
        record = self._keys(batch_id)[0]
        fields = self._read(record)
        if b"created" not in fields:
            return None
        queues = [name[6:].decode().removeprefix(INNER) for name in fields if name.startswith(b"queue:")]
        self.hear([*queues, home_of(batch_id)[0]])
        return _status(batch_id, self._read(record))

    def hear(self, queues: Iterable[str]) -> None:
        """Let batches hear what has become of jobs of these queues.

        Raises:
            BrokerError: some may not have heard it yet.
        """
        deliver(self._broker, queues, self._broker.link)

    def record_key(self, batch_id: str) -> bytes:
        """The key of a batch's record, which is also the channel on which its end is published."""
        return self._keys(batch_id)[0]

    def _keys(self, batch_id: str) -> tuple[bytes, bytes, bytes]:
        home, name = home_of(batch_id)
        return self._broker.keys(home).batch(name)

    def _read(self, record: bytes) -> dict[bytes, bytes]:
        flat = self._broker.link.command(b"HGETALL", record, key=record)
        return dict(zip(flat[::2], flat[1::2], strict=True))


def new_record(
    description: str, tags: Sequence[str], callbacks: Mapping[str, FollowUp], parent: str = ""
) -> list[Argument]:
    """What a batch's record begins with: names and values. `parent`: the batch that it is part of."""
    fields: list[Argument] = ["description", description, "tags", msgspec.json.encode(list(tags))]
    if parent:
        fields += ("parent", parent)
    for kind, job in callbacks.items():
        fields += callback_fields(kind, job)
    return fields


def _status(batch_id: str, fields: Mapping[bytes, bytes]) -> BatchStatus | None:
    if b"created" not in fields:
        return None

    def count(name: str) -> int:
        return int(fields.get(name.encode(), b"0"))

    def moment(name: str) -> int | None:
        found = fields.get(name.encode())
        return None if found is None else int(found)

    failure = None
    if b"failure" in fields:
        state, queue, job_id = fields[b"failure"].decode().split(" ", 2)
        failure = BatchFailure(job_id, queue.removeprefix(INNER), state)
    called = {kind: moment("called:" + kind) for kind in KINDS}
    return BatchStatus(
        id=batch_id,
        description=fields[b"description"].decode(),
        tags=tuple(msgspec.json.decode(fields[b"tags"])),
        total=count("total"),
        completed=count("completed"),
        failed=count("dead"),
        cancelled=count("cancelled"),
        discarded=count("discarded"),
        callbacks={kind: when for kind, when in called.items() if when is not None},
        first_failure=failure,
        created_at=count("created"),
        enqueued_at=moment("sealed"),
        ended_at=moment("ended"),
        cancelled_at=moment("stopped"),
    )
