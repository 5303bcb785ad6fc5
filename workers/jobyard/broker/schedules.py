"""Schedules as a queue knows them: which put jobs into it, the ticks that are recorded, and what became of their jobs.

The operator records them; `jobyard_operator.core.schedules` decides which. This only looks.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from jobyard.broker.scripts import script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

State = Literal["Planned", "Waiting", "Running", "Succeeded", "Failed", "Cancelled", "Skipped", "Unknown"]
#: States in which a run has not ended.
LIVE: Final[frozenset[State]] = frozenset({"Planned", "Waiting", "Running"})


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """One tick, or one run by hand. Times are UNIX times in milliseconds.

    Attributes:
        nominal: the tick's nominal time; of a run by hand, when it was asked for.
        due: when its job may start.
        digest: names what its job was made from.
        token: of the run by hand; '' for a tick.
        state: Planned: not due yet. Waiting: due, or between two attempts. Unknown: its job was forgotten before anybody looked.
        ended_at: when it ended; None: it has not, or that is not known.
    """

    nominal: int
    due: int
    job_id: str
    digest: str
    token: str
    state: State
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class QueueSchedule:
    """A schedule, as one queue knows it.

    Attributes:
        queue, uid: the queue, and the uid of the JobSchedule.
        now: the server's time in milliseconds.
        info: what the operator has said of it: name, namespace, schedules, timeZone and others.
        floor: nominal time up to which nothing is recorded any more, and nothing can be; 0: there is none.
        counts: recorded, succeeded, failed, cancelled, skipped.
        runs: sorted by nominal time: all that have not ended, and the newest that have.
    """

    queue: str
    uid: str
    now: int
    floor: int
    info: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    runs: tuple[ScheduledRun, ...] = ()

    @property
    def name(self) -> str:
        """As kubectl shows it, with its namespace."""
        return f"{self.info.get('namespace', '')}/{self.info.get('name', self.uid)}".removeprefix("/")


class Schedules:
    """What can be asked about schedules."""

    def __init__(self, broker: JobyardBroker) -> None:
        self._broker = broker

    def uids(self, queue: str) -> list[str]:
        """The uids of all schedules that have recorded a tick in a queue and were not forgotten there."""
        index = self._broker.keys(queue).schedules
        return sorted(uid.decode() for uid in self._broker.link.command(b"HKEYS", index, key=index))

    def look(self, queue: str, uid: str) -> QueueSchedule:
        """What is recorded of one schedule; nothing, where it is not known.

        Notes on the way what has become of its jobs, since those are kept for a while only.
        """
        keys = self._broker.keys(queue)
        reply = self._broker.link.call(script("schedule_look"), (*keys.schedule(uid), *keys.all), (uid,))
        now, info, counts, *rows = reply
        tally = {name.decode(): int(value) for name, value in zip(counts[::2], counts[1::2], strict=True)}
        runs = [_run([part.decode() for part in rows[at : at + 6]]) for at in range(0, len(rows), 6)]
        return QueueSchedule(
            queue=queue,
            uid=uid,
            now=now,
            floor=tally.pop("floor"),
            info=_object(info),
            counts=tally,
            runs=tuple(sorted(runs, key=lambda run: run.nominal)),
        )

    def list(self, queue: str) -> list[QueueSchedule]:
        """All schedules of a queue."""
        return [self.look(queue, uid) for uid in self.uids(queue)]


def _run(row: list[str]) -> ScheduledRun:
    name, due, job_id, digest, state, ended = row
    by_hand = name.startswith("!")
    return ScheduledRun(
        nominal=int(due) if by_hand else int(name[1:]),
        due=int(due),
        job_id=job_id,
        digest=digest,
        token=name[1:] if by_hand else "",
        state=cast(State, state),
        ended_at=int(ended) or None,
    )


def _object(text: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    return {}
