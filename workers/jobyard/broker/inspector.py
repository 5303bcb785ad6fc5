"""Reads: one job, jobs by state in pages, the ledger of a queue and its audit. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from dramatiq.errors import DecodeError

from jobyard.broker import keys as layout
from jobyard.broker.envelope import glance, look
from jobyard.broker.errors import WIRE_ERRORS, BrokerUnavailableError, translate
from jobyard.broker.filters import JobFilter
from jobyard.broker.job_logs import JobLogs
from jobyard.broker.keys import QueueKeys
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.protection import PLAIN, Protection
from jobyard.broker.scripts import script
from jobyard.broker.search import Page, Search
from jobyard.broker.server import REPLY_TIMEOUT
from jobyard.broker.states import PLACES as PLACES
from jobyard.broker.states import State as State

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker
    from jobyard.broker.explain import Explanation

#: Who waits for a job looks at it at least every so many seconds, since a message gets lost when a connection breaks.
LONGEST_SILENCE: Final = 5.0

_NO_COUNTERS: Final = frozenset({"tick", "seen", "grace", "large", "notices"})
_json: Final = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it is now. Times are UNIX times in milliseconds, None where they are not known.

    Attributes:
        attempts: how many attempts have been started.
        created_at: by the clock of whoever enqueued it.
        started_at: start of the last attempt.
        due_at: when a delayed job becomes due.
        ended_at: when it completed, died or was cancelled.
        worker: token of the worker that has it, where it is active.
        position: how many jobs of the queue stand before it, where it is waiting.
        cancelling: it is active, and somebody asked to cancel it.
        errors: one entry for each failed attempt: attempt, started_at, ended_at, error, message, traceback, worker.
        progress: the last report: percent, message, counts.
        problem: why its content can't be read, or must not be trusted; None: nothing is wrong.
        encrypted: it is encrypted, and this process has no key for it. Then `args` are `(encrypted)`.
    """

    id: str
    queue: str
    state: State
    actor: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    priority: int
    attempts: int
    created_at: int | None = None
    started_at: int | None = None
    due_at: int | None = None
    ended_at: int | None = None
    worker: str | None = None
    position: int | None = None
    cancelling: bool = False
    encoded_result: bytes | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    progress: dict[str, Any] | None = None
    problem: str | None = None
    encrypted: bool = False

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags by which it can be found."""
        return tuple(self.options.get("tags") or ())

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in ("completed", "dead", "cancelled")

    @property
    def last_error(self) -> dict[str, Any]:
        """The entry of the attempt that failed last; empty: none has."""
        return self.errors[-1] if self.errors else {}


@dataclass(frozen=True, slots=True)
class QueueStats:
    """The ledger of one queue at one instant.

    Attributes:
        now: the server's time in milliseconds.
        waiting, delayed, parked, active, dead: jobs that are there now. Parked ones wait for a slot of their key.
        kept_completed, kept_cancelled: ended jobs that can still be looked up.
        envelopes: jobs of which anything is stored.
        next_due: when the next delayed job becomes due, in milliseconds; None: there is none.
        oldest_at: when the first waiting job was created, in milliseconds; None: none waits.
        counts: since the queue exists: accepted, started, returned (started ones that went back as if they had not run),
            completed, failed, retried, recovered, cancelled, discarded, evicted, revived.
        policy: what holds for the queue.
        held: why the operator lets no job start, whatever the policy says; None: it doesn't.
    """

    queue: str
    now: int
    waiting: int
    delayed: int
    parked: int
    active: int
    dead: int
    kept_completed: int
    kept_cancelled: int
    envelopes: int
    next_due: int | None
    oldest_at: int | None
    counts: dict[str, int]
    policy: QueuePolicy
    held: str | None = None

    @property
    def completed(self) -> int:
        return self.counts.get("completed", 0)

    @property
    def cancelled(self) -> int:
        return self.counts.get("cancelled", 0)

    @property
    def lost(self) -> int:
        """Accepted jobs that are nowhere. Anything but 0 is a bug, or somebody changed keys by hand."""
        count = self.counts.get
        gone = count("completed", 0) + count("cancelled", 0) + count("discarded", 0) + count("evicted", 0)
        return count("accepted", 0) - self.waiting - self.delayed - self.parked - self.active - self.dead - gone

    @property
    def orphaned(self) -> int:
        """Envelopes that belong to no place. Anything but 0 is a bug."""
        places = self.waiting + self.delayed + self.parked + self.active + self.dead
        places += self.kept_completed + self.kept_cancelled
        return self.envelopes - places


class Inspector:
    """What can be asked about queues and jobs."""

    def __init__(self, broker: JobyardBroker) -> None:
        self._broker = broker

    def queues(self) -> list[str]:
        """The names of all queues that have ever had a job or a worker, sorted."""
        key = layout.registry(self._broker.namespace)
        return sorted(name.decode() for name in self._broker.link.command(b"SMEMBERS", key, key=key))

    def stats(self, queue: str) -> QueueStats:
        """The ledger of a queue."""
        reply = self._broker.link.call(script("stats"), self._keys(queue).all)
        now, waiting, delayed, parked, active, dead, completed, cancelled, envelopes, due, first, counts, flat = reply
        policy = pairs(flat)
        return QueueStats(
            queue, now, waiting, delayed, parked, active, dead, completed, cancelled, envelopes, due or None,
            (glance(first).timestamp or None) if first else None, tally_of(counts), QueuePolicy.from_fields(policy),
            policy.get("held"),
        )  # fmt: skip

    def job(self, job_id: str, *, queue: str | None = None) -> Job | None:
        """One job; None: unknown, or no longer kept. Without its queue, all queues are asked."""
        for name in [queue] if queue is not None else self.queues():
            for job in self.jobs_by_id(name, [job_id]):
                return job
        return None

    def jobs_by_id(self, queue: str, ids: Sequence[str]) -> list[Job]:
        """Those of the jobs that are known."""
        if not ids:
            return []
        rows = self._broker.link.call(script("lookup"), self._keys(queue).all, ids)
        return [job_of(queue, row, self._broker.protection) for row in rows if row[1] != b"unknown"]

    def jobs(self, queue: str, state: State, *, offset: int = 0, limit: int = 100) -> list[Job]:
        """One page of the jobs in a state: waiting in the order in which they start, ended ones newest first.

        Between two pages jobs may move; then the second page may repeat one, or miss one.
        """
        place, newest_first = PLACES[state]
        command = b"ZREVRANGE" if newest_first else b"ZRANGE"
        key = self._keys(queue)[place]
        members = self._broker.link.command(command, key, offset, offset + limit - 1, key=key)
        # A parked job's member is key NUL position NUL id.
        ids = [member.rpartition(b"\0")[2].decode() for member in members]
        return [job for job in self.jobs_by_id(queue, ids) if job.state == state]

    def logs(self, job_id: str, queue: str | None = None) -> JobLogs:
        """What a job has logged, the oldest line first; of all attempts. Empty: nothing, or no longer kept.

        The list is of `LogLine`; its attribute `dropped` says how many older lines are gone. Without the job's queue, all queues
        are asked. What a running job logs is to be seen about half a second later.
        """
        for name in [queue] if queue is not None else self.queues():
            key = self._keys(name)["logs"]
            stored = self._broker.link.command(b"HGET", key, job_id, key=key)
            if stored:
                return JobLogs.decode(stored, self._broker.protection or PLAIN, name, job_id)
        return JobLogs()

    def search(self, which: JobFilter | None = None, cursor: str | None = None, limit: int = 100) -> Page:
        """The jobs that fit, over all states and queues that are meant; ended ones newest first.

        A call looks at a bounded number of jobs (`search.MOST_SEARCHED`); then it returns what it has found, which may be
        nothing yet, and the cursor leads on. A job that stays in its state is found once, whatever others do meanwhile; one that
        moves may be missed, or found again.

        Args:
            which: None: all jobs.
            cursor: `Page.cursor` of the page before, with the same filter. None: the first page.
            limit: 1 to 1000 jobs.

        Raises:
            CursorError: the cursor was not given out for this filter.
            ValueError: the limit is not within its bounds.
        """
        return Search(self._broker).page(which or JobFilter(), cursor, limit)

    def explain(self, job_id: str, queue: str | None = None) -> Explanation:
        """Where a job is, why, and what can be done. Without its queue, all queues are asked.

        Raises:
            BrokerError: no answer.
        """
        from jobyard.broker.explain import explain, explain_unknown
        from jobyard.broker.situation import Situation, read

        policies = {}
        for name in [queue] if queue is not None else self.queues():
            found = read(self._broker, job_id, name)
            if isinstance(found, Situation):
                return explain(found)
            policies[name] = found
        return explain_unknown(job_id, policies)

    def ids_by_tag(
        self, queue: str, tag: str, cursor: str | None = None, limit: int = 1000
    ) -> tuple[list[str], str | None]:
        """One page of the ids of all jobs of a queue that have a tag, in whatever state, in the order of the ids.

        Args:
            cursor: the second part of the page before; None: the first page.

        Returns:
            Up to `limit` ids, and the cursor of the next page; None: there are no more. A job that is kept all the while is found
            once, whatever comes and goes between the pages.
        """
        key = self._keys(queue)["tags"]
        first = f"[{tag}\0" if cursor is None else f"({tag}\0{cursor}"
        rows = self._broker.link.command(b"ZRANGEBYLEX", key, first, f"({tag}\1", b"LIMIT", 0, limit, key=key)
        ids = [row.partition(b"\0")[2].decode() for row in rows]
        return ids, ids[-1] if len(ids) == limit else None

    def wait(self, job_id: str, *, queue: str, deadline: float, expected: bool = False) -> Job | None:
        """Block until a job has ended or `time.monotonic()` reaches the deadline. Woken by Redis; doesn't poll.

        Args:
            expected: wait for a job that is unknown, too. A step of a pipeline is, until the one before has ended.

        Returns:
            The job as it is then; None: unknown.

        Raises:
            BrokerError: Redis could not be asked.
        """
        while True:
            job = self.job(job_id, queue=queue)
            left = deadline - time.monotonic()
            if left <= 0 or (job.ended if job is not None else not expected):
                return job
            try:
                self._listen(self._keys(queue), job_id, left, expected=expected)
            except WIRE_ERRORS as error:
                found = translate(error)
                if not isinstance(found, BrokerUnavailableError):
                    raise found from None
                # Looking at the job has the patience of all calls; this keeps the time between two looks from being none.
                time.sleep(min(left, 0.1))

    def _listen(self, keys: QueueKeys, job_id: str, seconds: float, *, expected: bool) -> None:
        """Block until a job may have ended; at most for so many seconds, and not longer than `LONGEST_SILENCE`."""
        link = self._broker.link
        with self._broker.server.client().pubsub() as pubsub:
            # In this order: first hear, then be told, then look. Whatever ends the job afterwards tells us.
            pubsub.subscribe(keys.finished_channel(job_id))
            pubsub.get_message(timeout=min(seconds, REPLY_TIMEOUT))
            link.command(b"SADD", keys["waiting"], job_id, key=keys["waiting"])
            job = self.job(job_id, queue=keys.name)
            waits = expected if job is None else not job.ended
            if waits:
                pubsub.get_message(timeout=min(seconds, LONGEST_SILENCE))
            if job is None or not waits:
                # Nothing may be left of jobs that never come. Others who wait for it look again by themselves.
                link.command(b"SREM", keys["waiting"], job_id, key=keys["waiting"])

    def _keys(self, queue: str) -> QueueKeys:
        return self._broker.keys(queue)


def job_of(queue: str, row: Sequence[Any], protection: Protection | None) -> Job:
    """A job from a row of `lookup.lua`."""
    job_id, state, score, envelope, run, result, errors, progress, rank, cancelling = row
    name = cast(State, state if isinstance(state, str) else state.decode())
    name_of_it = job_id.decode()
    content, problem = look(envelope, protection, queue, name_of_it)
    ms = int(float(score))
    _, _, attempt, started, _ = run.split(b" ") if run else (b"-", b"-", b"0", b"0", b"0")
    return Job(
        id=name_of_it,
        queue=queue,
        state=name,
        actor=content.actor_name,
        args=content.args,
        kwargs=content.kwargs,
        options=content.options,
        priority=content.priority,
        attempts=int(attempt),
        created_at=content.timestamp or None,
        started_at=int(started) or None,
        due_at=ms if name == "delayed" else None,
        ended_at=ms if name in ("dead", "completed", "cancelled") else None,
        worker=run.split(b" ")[0].decode() if run and name == "active" else None,
        position=rank if name == "waiting" else None,
        cancelling=bool(cancelling),
        encoded_result=_result(result, protection, queue, name_of_it) if result else None,
        errors=[_error(line, protection, queue, name_of_it) for line in errors.splitlines()],
        progress=_json.decode(progress) if progress else None,
        problem=problem,
        encrypted=problem is not None and envelope[:1] == b"*",
    )


def _result(result: bytes, protection: Protection | None, queue: str, job_id: str) -> bytes:
    try:
        return (protection or PLAIN).open_result(result, queue, job_id)
    except DecodeError:
        return result  # As it is: whoever asks for the value is told.


def _error(line: bytes, protection: Protection | None, queue: str, job_id: str) -> dict[str, Any]:
    error: dict[str, Any] = _json.decode(line)
    return (protection or PLAIN).open_error(error, queue, job_id)


def tally_of(flat: list[bytes]) -> dict[str, int]:
    """The counters of the `counts` HASH, without what the scripts note there for themselves."""
    return {name: int(value) for name, value in pairs(flat).items() if name not in _NO_COUNTERS}


def pairs(flat: list[bytes]) -> dict[str, str]:
    """A HASH from its fields and values in turn."""
    return {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
