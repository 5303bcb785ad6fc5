"""The days that a report covers, and how they are cut into the points of a chart. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

_DAY = timedelta(days=1)


class Unit(StrEnum):
    """One point of a chart over time."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `start` to `end`, both included, in UTC."""

    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1

    @property
    def begins(self) -> datetime:
        """The first instant."""
        return datetime.combine(self.start, time.min)

    @property
    def ends(self) -> datetime:
        """The first instant that is no longer in the period."""
        return datetime.combine(self.end + _DAY, time.min)

    def before(self) -> Period:
        """The period just before, to compare with: as many months, if this one is of whole months, or as many days."""
        last = self.start - _DAY
        if self.start.day == 1 and (self.end + _DAY).day == 1:
            months = (self.end.year - self.start.year) * 12 + self.end.month - self.start.month + 1
            first = self.start.year * 12 + self.start.month - 1 - months
            return Period(date(first // 12, first % 12 + 1, 1), last)
        return Period(self.start - timedelta(days=self.days), last)

    @property
    def unit(self) -> Unit:
        """The unit that gives a chart enough points to show a course, and few enough to be read."""
        if self.days <= 62:
            return Unit.DAY
        return Unit.WEEK if self.days <= 400 else Unit.MONTH

    def buckets(self) -> list[date]:
        """The first day of every unit that the period touches. The first one may lie before `start`."""
        return list(self._buckets())

    def _buckets(self) -> Iterator[date]:
        at = start_of(self.unit, self.start)
        while at <= self.end:
            yield at
            at = _next(self.unit, at)

    def incomplete_ends(self) -> tuple[bool, bool]:
        """Whether the period covers only a part of its first and of its last unit."""
        buckets = self.buckets()
        return buckets[0] < self.start, _next(self.unit, buckets[-1]) - _DAY > self.end

    def __str__(self) -> str:
        def words(day: date) -> str:
            return f"{day.day} {day:%B %Y}"

        return words(self.start) if self.start == self.end else f"{words(self.start)} – {words(self.end)}"


def start_of(unit: Unit, day: date) -> date:
    """The first day of the unit that `day` is in. Weeks start on Monday."""
    match unit:
        case Unit.DAY:
            return day
        case Unit.WEEK:
            return day - timedelta(days=day.weekday())
        case Unit.MONTH:
            return day.replace(day=1)


def _next(unit: Unit, at: date) -> date:
    match unit:
        case Unit.DAY:
            return at + _DAY
        case Unit.WEEK:
            return at + timedelta(days=7)
        case Unit.MONTH:
            return (at + timedelta(days=31)).replace(day=1)
