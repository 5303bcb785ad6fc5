"""Cron expressions: what they mean as sets of numbers, and which wall times fit. Knows no time zones.

    30 2 * * *            minute, hour, day of month, month, day of week
    */10 30 2 * * *       the same with seconds first
    0 9 L * *             the last day of the month
    0 9 * * MON-FRI       names in English, in any case; 0 and 7 are both Sunday
    0 9 * * FRI#2         the second Friday of the month; FRIL is the last one

As in Debian's cron: where the day of month and the day of week are both given, a day has to fit one of them; where one of the
two begins with `*` (or is `?`), it has to fit both.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final


class ScheduleError(ValueError):
    """A schedule that can't be understood, or can never come; the message says where and what is allowed."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    besides: str = ""

    @property
    def allowed(self) -> str:
        text = f"{self.low} to {self.high}"
        if self.names:
            text += f" or {self.names[0]} to {self.names[-1]}"
        return text + self.besides


_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_SECOND: Final = _Field("second", 0, 59)
_MINUTE: Final = _Field("minute", 0, 59)
_HOUR: Final = _Field("hour", 0, 23)
_DAY: Final = _Field("day of month", 1, 31, besides=", L (the last one)")
_MONTH: Final = _Field("month", 1, 12, _MONTHS)
_WEEKDAY: Final = _Field("day of week", 0, 7, _DAYS, ", FRI#2 (the second one of the month), FRIL (the last one)")
_FIVE: Final = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)

LONGEST: Final = 256
_LAST: Final = 0
_DAY_LONG: Final = timedelta(days=1)
#: The calendar repeats after so many years, but what comes at all comes in a century.
FAR: Final = timedelta(days=366 * 100)


@dataclass(frozen=True)
class Cron:
    """A cron expression.

    Attributes:
        text: as it was given.
        seconds, minutes, hours, months: sorted.
        days: days of the month; 0 is the last one.
        weekdays: (day, which): 0 is Sunday; which: None each, 1 to 5, or 0 for the last one of the month.
        both: a day must fit `days` and `weekdays`, not just one of them.
        has_seconds: it was written with seconds.
        elapsed: its minute or hour begins with `*`: it means "every so often", not a time of day.
    """

    text: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: tuple[int, ...]
    weekdays: frozenset[tuple[int, int | None]]
    both: bool
    has_seconds: bool
    elapsed: bool

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read an expression.

        Raises:
            ScheduleError: it is none, or no date fits it.
        """
        if len(text) > LONGEST:
            raise ScheduleError(f"a cron expression has at most {LONGEST} characters, this one has {len(text)}")
        if re.match(r"\s*(CRON_)?TZ=", text):
            raise ScheduleError(f"{text!r}: the time zone does not belong into the expression: use timeZone")
        parts = text.upper().split()
        if len(parts) not in (5, 6):
            raise ScheduleError(
                f"{text!r} has {len(parts)} field{'' if len(parts) == 1 else 's'}; a cron expression has 5 (minute, hour, "
                "day of month, month, day of week), or 6 with the second before them"
            )
        second, minute, hour, day, month, weekday = parts if len(parts) == 6 else ["0", *parts]
        cron = cls(
            text=text,
            seconds=_numbers(text, _SECOND, second),
            minutes=_numbers(text, _MINUTE, minute),
            hours=_numbers(text, _HOUR, hour),
            days=_days(text, day),
            months=_numbers(text, _MONTH, month),
            weekdays=_weekdays(text, weekday),
            both=day[0] in "*?" or weekday[0] in "*?",
            has_seconds=len(parts) == 6,
            elapsed=minute[0] == "*" or hour[0] == "*",
        )
        if not cron._comes():
            raise ScheduleError(f"{text!r} never comes: {cron._why_never()}")
        return cron

    def fits(self, wall: datetime) -> bool:
        """Whether a wall time fits. An expression without seconds means the whole minute."""
        return (
            (not self.has_seconds or wall.second in self.seconds)
            and wall.minute in self.minutes
            and wall.hour in self.hours
            and wall.month in self.months
            and self._fits_day(wall.date())
        )

    def walls(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """All wall times that fit from `first` to `last`, in order, all without time zone."""
        day, end = first.date(), last.date()
        while day <= end:
            if day.month not in self.months:
                day = _next_month(day)
            elif self._fits_day(day):
                low = first.time() if day == first.date() else time.min
                high = last.time() if day == end else time.max
                for moment in self._times(low, high):
                    yield datetime.combine(day, moment)
                day += _DAY_LONG
            else:
                day += _DAY_LONG

    def _times(self, low: time, high: time) -> Iterator[time]:
        for hour in self.hours:
            if not low.hour <= hour <= high.hour:
                continue
            for minute in self.minutes:
                if not (low.hour, low.minute) <= (hour, minute) <= (high.hour, high.minute):
                    continue
                for second in self.seconds:
                    moment = time(hour, minute, second)
                    if low <= moment <= high:
                        yield moment

    def _fits_day(self, day: date) -> bool:
        by_day = day.day in self.days or (_LAST in self.days and day.day == calendar.monthrange(day.year, day.month)[1])
        if by_day != self.both:
            return by_day
        weekday = day.isoweekday() % 7
        return (
            (weekday, None) in self.weekdays
            or (weekday, (day.day + 6) // 7) in self.weekdays
            or ((weekday, _LAST) in self.weekdays and day.day + 7 > calendar.monthrange(day.year, day.month)[1])
        )

    def _comes(self) -> bool:
        # The fourteen calendars: seven common years and seven leap years.
        for year in (*range(2001, 2008), *range(2000, 2028, 4)):
            for month in self.months:
                last = calendar.monthrange(year, month)[1]
                if any(self._fits_day(date(year, month, day)) for day in range(1, last + 1)):
                    return True
        return False

    def _why_never(self) -> str:
        months = " or ".join(_MONTHS[month - 1].capitalize() for month in self.months)
        days = min((day for day in self.days if day != _LAST), default=31)
        if days > 29:
            return f"{months} has no day {days}"
        return "no day fits both its day of month and its day of week"


def _next_month(day: date) -> date:
    if day.month < 12:
        return day.replace(month=day.month + 1, day=1)
    return date(day.year + 1, 1, 1)


def _numbers(text: str, field: _Field, part: str) -> tuple[int, ...]:
    found: set[int] = set()
    for term in part.split(","):
        found.update(_range(text, field, term))
    return tuple(sorted(found))


def _days(text: str, part: str) -> frozenset[int]:
    found: set[int] = set()
    for term in part.split(","):
        if term == "?":
            term = "*"
        found.update((_LAST,) if term == "L" else _range(text, _DAY, term))
    return frozenset(found)


def _weekdays(text: str, part: str) -> frozenset[tuple[int, int | None]]:
    found: set[tuple[int, int | None]] = set()
    for term in part.split(","):
        if term == "?":
            term = "*"
        numbered = re.fullmatch(r"([A-Z0-9]+)#(.*)", term)
        last = re.fullmatch(r"([A-Z]{3}|\d)L", term)
        if numbered:
            if not re.fullmatch(r"[1-5]", numbered[2]):
                raise _wrong(text, _WEEKDAY, term, "after # stands which one of the month: 1 to 5")
            found.add((_number(text, _WEEKDAY, numbered[1], term) % 7, int(numbered[2])))
        elif last:
            found.add((_number(text, _WEEKDAY, last[1], term) % 7, _LAST))
        else:
            found.update((day % 7, None) for day in _range(text, _WEEKDAY, term))
    return frozenset(found)


def _range(text: str, field: _Field, term: str) -> range:
    """A term without its special cases: `*`, `3`, `3-7`, each with `/2` behind it."""
    span, slash, step_text = term.partition("/")
    step = 1
    if slash:
        if not re.fullmatch(r"[0-9]{1,4}", step_text) or int(step_text) == 0:
            raise _wrong(text, field, term, "after / stands a step, a whole number from 1")
        step = int(step_text)
        if step > field.high:
            raise _wrong(text, field, term, f"a step is at most {field.high}")
    if span == "*":
        # 7 is Sunday once more: with a step it would be another day.
        return range(field.low, (6 if field is _WEEKDAY else field.high) + 1, step)
    first, dash, last = span.partition("-")
    low = _number(text, field, first, term)
    if not dash:
        return range(low, (field.high if slash else low) + 1, step)
    high = _number(text, field, last, term)
    if field is _WEEKDAY and high == 0 and low > 0:
        high = 7
    if high < low:
        raise _wrong(text, field, term, f"the range is the wrong way round: write {last}-{first}, or two ranges")
    return range(low, high + 1, step)


def _number(text: str, field: _Field, part: str, term: str) -> int:
    if part in field.names:
        return field.names.index(part) + (1 if field is _MONTH else 0)
    if re.fullmatch(r"[0-9]{1,4}", part) and field.low <= int(part) <= field.high:
        return int(part)
    if part == "?" and field not in (_DAY, _WEEKDAY):
        raise _wrong(text, field, term, "? stands for * in the two fields of days only")
    raise _wrong(text, field, term, f"allowed are {field.allowed}, *, lists (1,2), ranges (1-5) and steps (*/2)")


def _wrong(text: str, field: _Field, term: str, why: str) -> ScheduleError:
    return ScheduleError(f"{text!r}: {term!r} is no {field.name}: {why}")
