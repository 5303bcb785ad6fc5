"""What may stand in `schedules` and `exclude` of a JobSchedule.

schedules    a cron expression, @hourly and its like, @every 5m, or one time: 2026-12-24T18:00:00+01:00
exclude      a cron expression, a date (2026-12-24), dates (2026-12-24/2026-12-31), or one time
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from jobyard_operator.core.schedules.cron import Cron, ScheduleError

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_LONGEST_INTERVAL: Final = 366 * 86_400
_DATE: Final = r"\d{4}-\d\d-\d\d"
_TIME: Final = re.compile(rf"{_DATE}[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?")


@dataclass(frozen=True, slots=True)
class Every:
    """Each so many seconds, counted from the start of the schedule or, without one, from 1970-01-01T00:00:00Z."""

    text: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Once:
    """One time, in UTC."""

    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Days:
    """All of the days from `first` to `last`, in the schedule's time zone."""

    text: str
    first: date
    last: date


Expression = Cron | Every | Once
Exclusion = Cron | Once | Days


def parse(text: str) -> Expression:
    """One of `schedules`.

    Raises:
        ScheduleError: it is none.
    """
    text = text.strip()
    if text.startswith("@"):
        return _named(text)
    if re.match(_DATE, text):
        return Once(text, moment(text))
    return Cron.parse(text)


def parse_exclusion(text: str) -> Exclusion:
    """One of `exclude`.

    Raises:
        ScheduleError: it is none.
    """
    text = text.strip()
    if re.fullmatch(rf"{_DATE}(/{_DATE})?", text):
        first, _, last = text.partition("/")
        days = Days(text, _day(first), _day(last or first))
        if days.last < days.first:
            raise ScheduleError(f"{text!r}: the first day comes after the last one")
        return days
    if re.match(_DATE, text):
        return Once(text, moment(text))
    if text.lower().startswith("@every"):
        raise ScheduleError(f"{text!r}: @every can't be excluded; write a cron expression, a date or a time")
    found = parse(text)
    assert isinstance(found, Cron)
    return found


def moment(text: str) -> datetime:
    """A time as RFC 3339 writes it, in UTC.

    Raises:
        ScheduleError: it is none, or has no offset, or parts of a second.
    """
    found = _TIME.fullmatch(text)
    if not found:
        raise ScheduleError(f"{text!r} is no time: write it like 2026-12-24T18:00:00+01:00")
    if not found[3]:
        raise ScheduleError(f"{text!r} could mean many times: add the offset, for instance {text}Z or {text}+01:00")
    try:
        at = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ScheduleError(f"{text!r} is no time: {error}") from None
    if at.microsecond:
        raise ScheduleError(f"{text!r}: a schedule has whole seconds only")
    return at


def interval(text: str) -> int:
    """Seconds, from `90s`, `5m`, `1h30m`, `2d`, `1w`.

    Raises:
        ScheduleError: it is none, or shorter than a second or longer than a year.
    """
    parts = re.findall(r"(\d{1,9})([wdhms])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ScheduleError(f"{text!r} is no interval: write for instance 90s, 5m, 1h30m or 2d (w, d, h, m, s)")
    if len({unit for _, unit in parts}) < len(parts):
        raise ScheduleError(f"{text!r}: a unit is given twice")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not 1 <= seconds <= _LONGEST_INTERVAL:
        raise ScheduleError(f"{text!r}: an interval is at least a second and at most 366 days")
    return seconds


def duration(delta: timedelta) -> str:
    """The other way round, for people: `1h30m`."""
    left = round(delta.total_seconds())
    parts = []
    for unit, size in _UNITS.items():
        if unit != "w" and left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return "".join(parts) or "0s"


def _named(text: str) -> Expression:
    name, _, rest = text.partition(" ")
    name = name.lower()
    if name == "@every":
        return Every(text, interval(rest.strip().lower()))
    if name in ALIASES and not rest.strip():
        return Cron.parse(ALIASES[name])
    if name == "@reboot":
        raise ScheduleError("@reboot has no meaning here: nothing reboots; use a time, or run it by hand")
    raise ScheduleError(f"{text!r} is unknown: there are @every INTERVAL, {', '.join(ALIASES)}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ScheduleError(f"{text!r} is no date: {error}") from None
