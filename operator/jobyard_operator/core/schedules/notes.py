"""What is to be said of a tick that a change of the clocks has moved, or that comes twice: for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from jobyard_operator.core.schedules.cron import Cron
from jobyard_operator.core.schedules.ticks import Calendar, Tick
from jobyard_operator.core.schedules.walls import fate


def note(calendar: Calendar, tick: Tick) -> str:
    """A sentence about the tick; '' where there is nothing to say."""
    local = tick.nominal.astimezone(calendar.where)
    wall = local.replace(tzinfo=None)
    crons = [one for one in calendar.expressions if isinstance(one, Cron)]
    skipped = _skipped(calendar, tick.nominal, crons)
    if skipped:
        before = (tick.nominal - timedelta(seconds=1)).astimezone(calendar.where).replace(tzinfo=None)
        return (
            f"{_list(skipped)} {'is' if len(skipped) == 1 else 'are'} skipped on this day: the clocks go from "
            f"{before + timedelta(seconds=1):%H:%M} to {wall:%H:%M}; it runs once, then"
        )
    if fate(wall, calendar.where) != "Overlap" or not any(one.fits(wall) for one in crons):
        return ""
    if local.fold:
        return f"{wall:%H:%M} comes twice on this day; this is the second time"
    fixed = not calendar.dst.both and not any(one.elapsed for one in crons if one.fits(wall))
    return f"{wall:%H:%M} comes twice on this day; {'it runs the first time' if fixed else 'this is the first time'}"


def _skipped(calendar: Calendar, nominal: datetime, crons: list[Cron]) -> list[datetime]:
    """Times of day that fall into a gap that ends at this instant, and run now instead."""
    before = (nominal - timedelta(seconds=1)).astimezone(calendar.where).replace(tzinfo=None)
    start, end = before + timedelta(seconds=1), nominal.astimezone(calendar.where).replace(tzinfo=None)
    if end <= start or not calendar.dst.run_after:
        return []
    last = end - timedelta(seconds=1)
    return sorted({wall for one in crons if not one.elapsed for wall in one.walls(start, last)})


def _list(walls: list[datetime]) -> str:
    shown = [f"{wall:%H:%M}" for wall in walls]
    if len(shown) > 3:
        return f"{shown[0]} to {shown[-1]}"
    return " and ".join(shown) if len(shown) < 3 else f"{shown[0]}, {shown[1]} and {shown[2]}"
