"""Failures that are the same, counted together: what fails, where, since when, in which image, and how many are dead of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from jobyard.broker.bulk import Outcome
from jobyard.broker.filters import JobFilter
from jobyard.broker.scripts import script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failures of one queue with the same fingerprint.

    Attributes:
        fingerprint: names it; `group` of an attempt's error. The same failure has the same one in all queues.
        error: the exception's type.
        place: `module:function` in the application; '' where that is not known.
        template: the message without its particulars.
        count: how many attempts ended so, since the group is known. (The 500 groups that were seen last are kept.)
        dead: how many dead letters there are now of which this was the end.
        first_seen, last_seen: in ms since 1970, by the server's clock.
        image: JOBYARD_IMAGE of the worker that failed last; None: not set.
        actors: some of the actors that failed so.
        sample: id of the job that failed last.
    """

    queue: str
    fingerprint: str
    error: str
    place: str
    template: str
    count: int
    dead: int
    first_seen: int
    last_seen: int
    image: str | None
    actors: tuple[str, ...]
    sample: str


class _Record(msgspec.Struct, kw_only=True):
    # As `remember_error` in leave.lua writes it.
    error: str = ""
    place: str = ""
    template: str = ""
    count: float = 0
    first_seen: float = 0
    image: str | None = None
    actors: list[str] = []
    sample: str = ""


class Failures:
    """The failure groups of a broker's queues."""

    def __init__(self, broker: JobyardBroker) -> None:
        self._broker = broker

    def groups(self, queue: str | None = None) -> list[FailureGroup]:
        """The groups of one queue, or of all; what was seen last comes first.

        Raises:
            BrokerError: no answer.
        """
        found = []
        for name in [queue] if queue is not None else self._broker.inspector.queues():
            reply = self._broker.link.call(script("failures"), self._broker.keys(name).all)
            for group, seen, record, dead in zip(reply[::4], reply[1::4], reply[2::4], reply[3::4], strict=True):
                try:
                    one = _decode(record)
                except msgspec.DecodeError:
                    continue  # By a version that is not ours. Groups are for information only.
                found.append(
                    FailureGroup(
                        queue=name,
                        fingerprint=group.decode(),
                        error=one.error,
                        place=one.place,
                        template=one.template,
                        count=int(one.count),
                        dead=max(0, int(dead or 0)),
                        first_seen=int(one.first_seen),
                        last_seen=int(float(seen)),
                        image=one.image,
                        actors=tuple(one.actors),
                        sample=one.sample,
                    )
                )
        return sorted(found, key=lambda one: (-one.last_seen, one.queue, one.fingerprint))

    def retry(
        self,
        queue: str,
        fingerprint: str,
        *,
        rate: float | None = None,
        dry_run: bool = False,
        limit: int | None = None,
    ) -> Outcome:
        """Try the dead letters again whose last error is of this group. See `Bulk.retry`."""
        return self._broker.bulk.retry(_letters(queue, fingerprint), rate=rate, dry_run=dry_run, limit=limit)

    def discard(self, queue: str, fingerprint: str, *, dry_run: bool = False, limit: int | None = None) -> Outcome:
        """Forget the dead letters whose last error is of this group. See `Bulk.discard`."""
        return self._broker.bulk.discard(_letters(queue, fingerprint), dry_run=dry_run, limit=limit)


def _letters(queue: str, fingerprint: str) -> JobFilter:
    return JobFilter(queue=queue, states=("dead",), group=fingerprint)


_decode = msgspec.json.Decoder(_Record).decode
