"""The Redis layout: which keys a queue has. Nothing outside this package knows it.

Every key of a queue carries the hash tag `{QUEUE}`, so that a queue lies on one node of a Redis Cluster and one script may
touch all of it.
"""

from __future__ import annotations

import re
from typing import Final

#: The keys of a queue, in the order in which every script gets them. `lua/include/queue.lua` holds the same list.
FIELDS: Final = (
    "jobs",  # HASH  id → envelope, as long as the job is anywhere
    "ready",  # ZSET  id → position: priority band + arrival
    "scheduled",  # ZSET  id → due time in ms, priority in the fraction
    "active",  # ZSET  id → lease expiry in ms
    "runs",  # HASH  id → the last run: caller, call, attempt, start, position. The fence.
    "dead",  # ZSET  id → time of death in ms, priority in the fraction
    "completed",  # ZSET  id → finish time in ms
    "cancelled",  # ZSET  id → time of cancelling in ms
    "results",  # HASH  id → encoded result
    "errors",  # HASH  id → one JSON object a line, one line a failed attempt
    "progress",  # HASH  id → JSON of the last progress report
    "cancels",  # HASH  id → time in ms: running jobs that shall stop; with ' deadline' where theirs has passed
    "counts",  # HASH  the ledger
    "policy",  # HASH  paused, ageing, retention …; the operator's flags: held (why), asleep, retired:TOKEN → until when, in ms,
    # overlaps
    "wake",  # LIST  a token in it calls one idle worker
    "timer",  # STRING the due time that some idle worker waits for, and which one
    "waiting",  # SET   ids whose end somebody waits for
    "traits",  # HASH  id → key, unique key, granted slot, dependency and tags, for jobs that have any of it
    "slots",  # HASH  key → how many of its jobs run
    "rates",  # ZSET  key → when its next job may start at the earliest, in ms, had it no burst. '' is the whole queue
    "fair",  # HASH  priority and key → the tick of the key's next turn
    "parked",  # ZSET  key, position and id, by name: jobs that wait for a slot of their key
    "unique",  # HASH  unique key → job id and mode
    "expires",  # ZSET  job that must have started or ended, or unique key that ends, by that time in ms
    "tags",  # ZSET  tag and id, by name: every job that has the tag, wherever it is
    "batched",  # HASH  id → the batch that it belongs to, for jobs that belong to one
    "notices",  # ZSET  what batches must hear, by number: batch, state and id, or whom a batch calls
    "failures",  # HASH  fingerprint → JSON of the failure group; fingerprint and " dead" → how many dead letters it has
    "failures_seen",  # ZSET  fingerprint → when it was last seen, in ms
    "letters",  # HASH  id of a dead letter → fingerprint of its last error
    "logs",  # HASH  id → what the job has logged, see lua/include/logs.lua
    "breakers",  # HASH  dependency → state of its circuit breaker, where it has failed of late
    "operator",  # HASH  what the Kubernetes operator keeps: its epoch, its memory, the digest of its policy, how far commands
    # are; what the overlap policies of schedules need, see lua/include/overlaps.lua
)

_queue_name = re.compile(r"[A-Za-z_][A-Za-z0-9._/-]{0,127}")


def check_queue_name(name: str) -> str:
    """The name itself.

    Raises:
        ValueError: it can't be a queue's name.
    """
    # Dramatiq gives names that end in .DQ and .XQ a meaning of their own.
    if not _queue_name.fullmatch(name) or name.endswith((".DQ", ".XQ")):
        raise ValueError(
            f"{name!r} can't be a queue's name: it starts with a letter or underscore, goes on with at most 127 letters, "
            "digits and . _ / -, and does not end in .DQ or .XQ"
        )
    return name


class QueueKeys:
    """The key names of one queue, as bytes, in the order of `FIELDS`."""

    __slots__ = ("all", "name", "prefix")

    def __init__(self, namespace: str, name: str) -> None:
        self.name = check_queue_name(name)
        self.prefix = f"{namespace}:{{{name}}}:"
        self.all: tuple[bytes, ...] = tuple((self.prefix + field).encode() for field in FIELDS)

    def __getitem__(self, field: str) -> bytes:
        return self.all[FIELDS.index(field)]

    def call(self, caller: str) -> bytes:
        """Where the last call number of a caller stands, so that a call that is sent twice counts once."""
        return f"{self.prefix}call:{caller}".encode()

    def recall(self, worker: str) -> bytes:
        """LIST on which a worker waits, instead of `wake`, while it gets no new jobs of this queue: a token in it calls it."""
        return f"{self.prefix}recall:{worker}".encode()

    def batch(self, name: str) -> tuple[bytes, bytes, bytes]:
        """The keys of a batch whose home this queue is: record, jobs, and jobs that are being added. See `verdict.lua`."""
        record = f"{self.prefix}batch:{name}"
        return record.encode(), f"{record}:jobs".encode(), f"{record}:added".encode()

    @property
    def schedules(self) -> bytes:
        """HASH uid → what is shown of a schedule that puts jobs into this queue, as JSON."""
        return f"{self.prefix}schedules".encode()

    def schedule(self, uid: str) -> tuple[bytes, bytes]:
        """The schedules of the queue, and the record of one of them, see `schedules.lua`."""
        return self.schedules, f"{self.prefix}schedule:{uid}".encode()

    def called(self, name: str) -> bytes:
        """The mark that a batch's callback in this queue was accepted."""
        return f"{self.prefix}called:{name}".encode()

    def finished_channel(self, job_id: str) -> bytes:
        """The channel on which the end of a job that somebody waits for is published."""
        return self["waiting"] + b":" + job_id.encode()


def registry(namespace: str) -> bytes:
    """SET of the names of all queues that have ever had a job."""
    return f"{namespace}:queues".encode()


def workers(namespace: str) -> bytes:
    """HASH worker token → JSON of what the worker says of itself, with the time until which it is true."""
    return f"{namespace}:workers".encode()


def worker_channel(namespace: str, token: str) -> bytes:
    """The channel that a worker process listens on, for cancels."""
    return f"{namespace}:worker:{token}".encode()


def operator_channel(namespace: str) -> bytes:
    """The channel that the operator listens on: names of queues that slept, and to which a job has come."""
    return f"{namespace}:operator".encode()
