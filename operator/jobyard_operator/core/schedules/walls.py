"""From wall times to instants: what becomes of times that a change of the clocks skips, or brings twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from jobyard_operator.core.schedules.cron import Cron, ScheduleError

Fate = Literal["Ordinary", "Gap", "Overlap"]


@dataclass(frozen=True, slots=True)
class Dst:
    """What a schedule says of changed clocks.

    Attributes:
        run_after: a time that is skipped runs once, when the gap is over; otherwise not at all.
        both: a time that comes twice runs twice; otherwise once, the first time.
    """

    run_after: bool = True
    both: bool = False


def zone(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        ScheduleError: the tz database has none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ScheduleError(f"{name!r} is no time zone of the tz database: write for instance Europe/Berlin") from None


def fate(wall: datetime, where: ZoneInfo) -> Fate:
    """Whether a wall time comes once, never (in the gap) or twice (in the overlap)."""
    first, second = _both(wall, where)
    if first == second:
        return "Ordinary"
    return "Overlap" if first < second else "Gap"


def instants(cron: Cron, where: ZoneInfo, dst: Dst, after: datetime, until: datetime) -> Iterator[datetime]:
    """When a cron expression's times come, in UTC and in order: later than `after`, not later than `until`.

    A time may come twice in a row, where a gap has brought several to the same instant.
    """
    first, last = after.astimezone(where).replace(tzinfo=None), until.astimezone(where).replace(tzinfo=None)
    # Near a change of the clocks, wall times from before and behind may belong here as well.
    first, last = first - _shift(first.date(), where), last + _shift(last.date(), where)
    # In order within a block. Days near a change of the clocks make one block, which has to be sorted.
    block: list[datetime] = []
    irregular: tuple[date, bool] = (date.min, False)
    for wall in cron.walls(first, last):
        day = wall.date()
        if irregular[0] != day:
            irregular = day, bool(_shift(day, where))
        if not irregular[1]:
            yield from _within(sorted(block), after, until)
            block = []
            yield from _within([wall.replace(tzinfo=where).astimezone(UTC)], after, until)
            continue
        if block and block[0] < datetime.combine(day, time(), UTC) - timedelta(days=5):
            yield from _within(sorted(block), after, until)
            block = []
        block += _meant(cron, wall, where, dst)
    yield from _within(sorted(block), after, until)


def _meant(cron: Cron, wall: datetime, where: ZoneInfo, dst: Dst) -> list[datetime]:
    first, second = _both(wall, where)
    if first == second:
        return [first]
    if first < second:
        return [first, second] if cron.elapsed or dst.both else [first]
    return [_end_of_gap(second, first, where)] if dst.run_after and not cron.elapsed else []


def _both(wall: datetime, where: ZoneInfo) -> tuple[datetime, datetime]:
    """A wall time taken with the offset before a change and with the one after it; the same where nothing changes."""
    first, second = (wall.replace(tzinfo=where, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first, second


def _end_of_gap(low: datetime, high: datetime, where: ZoneInfo) -> datetime:
    """The instant at which the clocks jump: later than `low`, not later than `high`."""
    offset = high.astimezone(where).utcoffset()
    seconds, start = round((high - low).total_seconds()), 0
    while seconds - start > 1:
        middle = (start + seconds) // 2
        if (low + timedelta(seconds=middle)).astimezone(where).utcoffset() == offset:
            seconds = middle
        else:
            start = middle
    return low + timedelta(seconds=seconds)


def _shift(day: date, where: ZoneInfo) -> timedelta:
    """Zero; near a change of the clocks: some more than that is."""
    noon = datetime.combine(day, time(12), where)
    before, after = (noon - timedelta(days=1)).utcoffset(), (noon + timedelta(days=1)).utcoffset()
    assert before is not None
    assert after is not None
    return abs(after - before) + timedelta(hours=1) if after != before else timedelta(0)


def _within(moments: list[datetime], after: datetime, until: datetime) -> Iterator[datetime]:
    return (moment for moment in moments if after < moment <= until)
