"""When a schedule fires. A tick is (uid of the schedule, nominal time in UTC); the id of its job follows from it."""

from __future__ import annotations

import hashlib
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from jobyard_operator.core.schedules.cron import FAR, Cron, ScheduleError
from jobyard_operator.core.schedules.expressions import (
    Days,
    Every,
    Exclusion,
    Expression,
    Once,
    moment,
    parse,
    parse_exclusion,
)
from jobyard_operator.core.schedules.walls import Dst, instants, zone
from jobyard_operator.resources.jobschedule import JobScheduleSpec

_NAMESPACE: Final = uuid.UUID("2c1f8a3e-6a0b-5f43-9d52-0b7f6d9f4a11")
_UTC: Final = ZoneInfo("Etc/UTC")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Nothing is looked for beyond; the calendar of Python ends soon after.
_END: Final = datetime(9900, 1, 1, tzinfo=UTC)
#: So many times in a row may be excluded; a weekend of seconds is less.
MOST_EXCLUDED: Final = 200_000


@dataclass(frozen=True, slots=True, order=True)
class Tick:
    """One time at which a schedule fires.

    Attributes:
        nominal: as the schedule says, in UTC. It names the tick.
        due: when its job may start: the nominal time and its share of the jitter.
    """

    nominal: datetime
    due: datetime


@dataclass(frozen=True, slots=True)
class Calendar:
    """All that decides when a schedule fires.

    Attributes:
        uid: of the JobSchedule; jitter is spread by it.
        start, end: no tick before, none after; both may be one.
        jitter: each tick is late by some part of this.
    """

    expressions: tuple[Expression, ...]
    exclusions: tuple[Exclusion, ...] = ()
    where: ZoneInfo = _UTC
    dst: Dst = field(default_factory=Dst)
    start: datetime | None = None
    end: datetime | None = None
    jitter: timedelta = timedelta(0)
    uid: str = ""

    @classmethod
    def of(cls, spec: JobScheduleSpec, uid: str) -> Calendar:
        """The calendar of a JobSchedule.

        Raises:
            ScheduleError: a part of it can't be understood, or never comes.
        """
        return cls(
            expressions=tuple(parse(text) for text in spec.schedules),
            exclusions=tuple(parse_exclusion(text) for text in spec.exclude),
            where=zone(spec.time_zone),
            dst=Dst(run_after=spec.dst.gap == "RunAfter", both=spec.dst.overlap == "Both"),
            start=None if spec.start_time is None else moment(spec.start_time),
            end=None if spec.end_time is None else moment(spec.end_time),
            jitter=timedelta(seconds=spec.jitter_seconds),
            uid=uid,
        )

    def excludes(self, nominal: datetime) -> bool:
        """Whether `exclude` takes this time away."""
        wall = nominal.astimezone(self.where).replace(tzinfo=None)
        for one in self.exclusions:
            match one:
                case Cron():
                    hit = one.fits(wall)
                case Days():
                    hit = one.first <= wall.date() <= one.last
                case Once():
                    hit = one.at == nominal
            if hit:
                return True
        return False


def ticks(calendar: Calendar, after: datetime, until: datetime) -> Iterator[Tick]:
    """The ticks whose nominal time is later than `after` and not later than `until`, in order.

    Raises:
        ScheduleError: `exclude` takes away more than `MOST_EXCLUDED` times in a row.
    """
    until = min(until, _END)
    # The next nominal time bounds the jitter, also the one behind the end.
    nominals = _nominals(calendar, after, until + calendar.jitter)
    last = None
    for nominal, following in pairwise(_with_end(nominals)):
        assert nominal is not None
        if nominal > until:
            return
        last = nominal
        yield Tick(nominal, nominal + _late_by(calendar, last, following))


def next_ticks(calendar: Calendar, after: datetime, count: int) -> list[Tick]:
    """The next ones, as far as there are any within a century."""
    found: list[Tick] = []
    for tick in ticks(calendar, after, after + min(FAR, max(_END - after, timedelta(0)))):
        found.append(tick)
        if len(found) == count:
            break
    return found


def last_ticks(calendar: Calendar, after: datetime, until: datetime, count: int) -> list[Tick]:
    """The last ones later than `after` and not later than `until`, in order. Takes time by their number, not by the years."""
    width = timedelta(minutes=1)
    while True:
        begin = max(after, until - width)
        found = deque(ticks(calendar, begin, until), maxlen=count)
        if len(found) == count or begin == after:
            return list(found)
        width *= 4


def job_id(uid: str, nominal: datetime) -> str:
    """The id of a tick's job: the same for everybody who knows the tick."""
    return str(uuid.uuid5(_NAMESPACE, f"{uid} {milliseconds(nominal)}"))


def run_id(uid: str, token: str) -> str:
    """The id of the job of a run by hand."""
    return str(uuid.uuid5(_NAMESPACE, f"{uid} run {token}"))


def milliseconds(moment: datetime) -> int:
    """As Redis keeps times."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def at(ms: int) -> datetime:
    """The other way round."""
    return _EPOCH + timedelta(milliseconds=ms)


def _nominals(calendar: Calendar, after: datetime, until: datetime) -> Iterator[datetime]:
    if calendar.start is not None:
        after = max(after, calendar.start - timedelta(microseconds=1))
    if calendar.end is not None:
        until = min(until, calendar.end)
    if after >= until:
        return
    last, excluded = None, 0
    for nominal in merge(*(_instants(one, calendar, after, until) for one in calendar.expressions)):
        if nominal == last:
            continue
        last = nominal
        if not calendar.excludes(nominal):
            excluded = 0
            yield nominal
            continue
        excluded += 1
        if excluded > MOST_EXCLUDED:
            raise ScheduleError(
                f"exclude takes away {MOST_EXCLUDED:,} times in a row: exclude less, or say when it runs with schedules alone"
            )


def _instants(expression: Expression, calendar: Calendar, after: datetime, until: datetime) -> Iterator[datetime]:
    match expression:
        case Cron():
            yield from instants(expression, calendar.where, calendar.dst, after, until)
        case Every():
            base, step = calendar.start or _EPOCH, timedelta(seconds=expression.seconds)
            nominal = base + max(0, (after - base) // step + 1) * step
            while nominal <= until:
                yield nominal
                nominal += step
        case Once():
            if after < expression.at <= until:
                yield expression.at


def _with_end(nominals: Iterator[datetime]) -> Iterator[datetime | None]:
    yield from nominals
    yield None


def _late_by(calendar: Calendar, nominal: datetime, following: datetime | None) -> timedelta:
    limit = calendar.jitter if following is None else min(calendar.jitter, following - nominal)
    digest = hashlib.sha256(f"{calendar.uid} {milliseconds(nominal)}".encode()).digest()
    # Less than the limit, so that ticks keep their order.
    return timedelta(milliseconds=int.from_bytes(digest[:6]) * (limit // timedelta(milliseconds=1)) >> 48)
