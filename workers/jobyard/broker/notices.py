"""Brings to batches what they must hear of their jobs, and to queues whom a batch calls.

A batch and its jobs may lie on different nodes of a cluster, which no script can touch together. So the script that ends a job
leaves a notice with the job's queue, and whoever comes next delivers it: workers with their next call, and everybody
who looks at a batch. Notices are numbered and count once, and they are removed after they were delivered; so whoever delivers
them may be killed at any point, or be late, and two may do it at once.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from dramatiq.logging import get_logger

from jobyard.broker import keys as layout
from jobyard.broker.delivery import FollowUp
from jobyard.broker.errors import BrokerError, BrokerFullError
from jobyard.broker.keys import QueueKeys
from jobyard.broker.link import Link
from jobyard.broker.scripts import Argument, script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

#: Notices in one call.
_PAGE: Final = 500
#: Milliseconds for which it is known that a callback was accepted, should it be sent again: longer than anybody is late.
_REMEMBERED: Final = 7 * 86_400_000
#: Seconds until it is tried again when Redis was away.
_PAUSE: Final = 1.0

#: What a callback consists of in the batch's record, see `callback_fields`.
_FIELDS: Final = ("queue", "id", "envelope", "priority", "delay", "wishes")


def home_of(batch_id: str) -> tuple[str, str]:
    """The queue in which a batch's record lies, and its name there.

    Raises:
        ValueError: that is no batch's id.
    """
    queue, colon, name = batch_id.partition(":")
    if not colon or not name:
        raise ValueError(f"a batch's id is QUEUE:NAME, not {batch_id!r}")
    return queue, name


def callback_fields(kind: str, job: FollowUp) -> list[Argument]:
    """A callback as fields of a batch's record: names and values."""
    values: tuple[Argument, ...] = (
        job.queue_name,
        job.job_id,
        job.envelope,
        job.priority,
        job.delay,
        job.wishes,
    )
    return [part for name, value in zip(_FIELDS, values, strict=True) for part in (f"{kind}:{name}", value)]


def deliver(broker: JobyardBroker, queues: Iterable[str], link: Link) -> None:
    """Deliver all notices of these queues, and those that are written because of them.

    Raises:
        BrokerError: some are not delivered (for sure). They stay where they are.
    """
    todo = dict.fromkeys(queues)
    while todo:
        queue = next(iter(todo))
        del todo[queue]
        todo.update(dict.fromkeys(_deliver_page(broker, queue, link)))


def _deliver_page(broker: JobyardBroker, queue: str, link: Link) -> list[str]:
    """Deliver the oldest notices of a queue. Returns the queues that have (perhaps) more."""
    notices = broker.keys(queue)["notices"]
    rows = link.command(b"ZRANGE", notices, 0, _PAGE - 1, b"WITHSCORES", key=notices)
    if not rows:
        return []
    reports: defaultdict[str, list[Argument]] = defaultdict(list)
    calls: list[tuple[str, str]] = []
    for notice, number in zip(rows[::2], rows[1::2], strict=True):
        batch_id, what, subject = notice.decode().split("\0", 2)
        if what == "call":
            calls.append((batch_id, subject))
        else:
            reports[batch_id] += (subject, number, what)
    more = [queue] if len(rows) == 2 * _PAGE else []
    for batch_id, arguments in reports.items():
        home, name = home_of(batch_id)
        keys = broker.keys(home)
        if link.call(script("batch_count"), (*keys.batch(name), *keys.all), (batch_id, queue, *arguments)):
            more.append(home)
    for batch_id, kind in calls:
        _call(broker, batch_id, kind, link)
    # Not by their names: one of them may have been written anew meanwhile, under a higher number.
    link.command(b"ZREMRANGEBYSCORE", notices, b"-inf", rows[-1], key=notices)
    return more


def _call(broker: JobyardBroker, batch_id: str, kind: str, link: Link) -> None:
    home, name = home_of(batch_id)
    record = broker.keys(home).batch(name)[0]
    found: list[Any] = link.command(b"HMGET", record, *(f"{kind}:{field}" for field in _FIELDS), key=record)
    if found[0] is None:
        return  # The batch is forgotten, so this notice is an old one, that somebody was late with.
    queue, *job = found
    keys = QueueKeys(broker.namespace, queue.decode())
    registry = layout.registry(broker.namespace)
    with contextlib.suppress(BrokerFullError):
        link.command(b"SADD", registry, queue, key=registry)
    mark = keys.called(f"{batch_id}:{kind}")
    link.call(script("batch_call"), (mark, *keys.all), (_REMEMBERED, *job))


class Courier:
    """Delivers for one worker process, in whichever of its threads has just spoken to Redis.

    While nothing is posted it does nothing at all.
    """

    def __init__(self, broker: JobyardBroker) -> None:
        self._broker = broker
        self._link = Link(broker.server, patience=0.5)
        self._logger = get_logger(__name__, type(self))
        self._posted: set[str] = set()
        self._mutex = threading.Lock()  # guards the set
        self._walking = threading.Lock()  # one delivery at a time
        self._not_before = 0.0

    @property
    def waiting(self) -> bool:
        """Whether something is left, since Redis was away."""
        return bool(self._posted)

    def deliver(self, queues: Iterable[str]) -> None:
        """Deliver what these queues have, and what is left from before. Raises nothing: what fails is tried again."""
        with self._mutex:
            self._posted.update(queues)
        # Whoever walks looks again after that, so nothing stays behind that was posted while it walked.
        while self._posted and time.monotonic() >= self._not_before and self._walking.acquire(blocking=False):
            try:
                with self._mutex:
                    posted, self._posted = self._posted, set()
                try:
                    deliver(self._broker, sorted(posted), self._link)
                except (BrokerError, ValueError) as error:  # A ValueError: somebody has changed keys by hand.
                    self._logger.warning("Batches don't hear of their jobs yet; it is tried again: %s", error)
                    self._not_before = time.monotonic() + _PAUSE
                    with self._mutex:
                        self._posted |= posted
            finally:
                self._walking.release()

    def close(self) -> None:
        """Close the connection."""
        with self._walking:
            self._link.close()
