"""Our ticks beside those of cronsim and croniter.

cronsim follows Debian's cron, as we do by default; it is asked where both say the same thing. What is different, and meant to be:

- cronsim leaves the clocks' changes alone in expressions with seconds; for us they are times of day like others.
- croniter fires a time of day twice in an overlap; we do once (`dst.overlap: Both` is its way).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim, CronSimError
from hypothesis import example, given, settings
from tests.unit.operator.schedules.calendars import calendar, expressions, moments, utc, zones

from jobyard_operator.core.schedules import ScheduleError, ticks
from jobyard_operator.core.schedules.cron import Cron

SPAN = timedelta(days=20)


def of_cronsim(text: str, where: str, after: datetime) -> list[datetime]:
    found = CronSim(text, after.astimezone(ZoneInfo(where)))
    some = takewhile(lambda moment: moment <= after + SPAN, (moment.astimezone(after.tzinfo) for moment in found))
    return sorted(set(some))


def ours(text: str, where: str, after: datetime) -> list[datetime]:
    return [tick.nominal for tick in ticks(calendar(text, where=where), after, after + SPAN)]


@given(expressions)
@example("0 0 31 2 *")
@example("0 0 31 2 MON")
def test_cronsim_refuses_the_same(text: str) -> None:
    def refused(by: type[Cron] | type[CronSim]) -> bool:
        try:
            Cron.parse(text) if by is Cron else CronSim(text, utc("2026-01-01"))
        except (ScheduleError, CronSimError):
            return True
        return False

    assert refused(Cron) == refused(CronSim)


@settings(max_examples=60)
@given(expressions, zones, moments)
@example("30 2 * * *", "Europe/Berlin", utc("2026-03-20"))
@example("30 2 * * *", "Europe/Berlin", utc("2026-10-20"))
@example("*/15 2 * * *", "Europe/Berlin", utc("2026-10-20"))
@example("*/15 2 * * *", "Europe/Berlin", utc("2026-03-20"))
@example("0 */2 * * *", "America/New_York", utc("2026-10-20"))
@example("15 2 * * *", "Australia/Lord_Howe", utc("2026-09-20"))
def test_cronsim_fires_at_the_same_times(text: str, where: str, after: datetime) -> None:
    try:
        Cron.parse(text)
    except ScheduleError:
        return
    assert ours(text, where, after) == of_cronsim(text, where, after)


def test_croniter_fires_twice_in_an_overlap() -> None:
    berlin, after = ZoneInfo("Europe/Berlin"), utc("2026-10-24T12:00:00")
    found = croniter("30 2 * * *", after.astimezone(berlin))
    theirs = [found.get_next(datetime).astimezone(after.tzinfo) for _ in range(3)]
    both = calendar("30 2 * * *", where="Europe/Berlin", both=True)
    assert theirs == [tick.nominal for tick in ticks(both, after, after + timedelta(days=2))]
    assert ours("30 2 * * *", "Europe/Berlin", after)[:2] == [theirs[0], theirs[2]]


def test_croniter_runs_after_a_gap_as_we_do() -> None:
    berlin, after = ZoneInfo("Europe/Berlin"), utc("2026-03-28T12:00:00")
    found = croniter("30 2 * * *", after.astimezone(berlin))
    assert found.get_next(datetime).astimezone(after.tzinfo) == ours("30 2 * * *", "Europe/Berlin", after)[0]
