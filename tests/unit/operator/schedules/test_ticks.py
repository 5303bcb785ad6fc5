"""When schedules fire: changed clocks, exclusions, jitter."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.unit.operator.schedules.calendars import ZONES, calendar, expressions, moments, spans, utc, zones

from jobyard_operator.core.schedules import ScheduleError, job_id, next_ticks, run_id, ticks
from jobyard_operator.core.schedules.cron import Cron
from jobyard_operator.core.schedules.ticks import Calendar, last_ticks
from jobyard_operator.core.schedules.walls import fate, zone


def walls(of: Calendar, after: str, count: int) -> list[str]:
    return [tick.nominal.astimezone(of.where).isoformat(" ") for tick in next_ticks(of, utc(after), count)]


@pytest.mark.parametrize(
    ("text", "options", "after", "expected"),
    [
        # Berlin, 29 March 2026: after 01:59 comes 03:00.
        ("30 2 * * *", {}, "2026-03-28T12:00:00", ["2026-03-29 03:00:00+02:00", "2026-03-30 02:30:00+02:00"]),
        ("30 2 * * *", {"run_after": False}, "2026-03-28T12:00:00", ["2026-03-30 02:30:00+02:00"]),
        ("0,30 2,3 * * *", {}, "2026-03-28T12:00:00", ["2026-03-29 03:00:00+02:00", "2026-03-29 03:30:00+02:00"]),
        ("*/30 * * * *", {}, "2026-03-29T00:00:00", ["2026-03-29 01:30:00+01:00", "2026-03-29 03:00:00+02:00"]),
        ("30 * * * *", {}, "2026-03-29T00:00:00", ["2026-03-29 01:30:00+01:00", "2026-03-29 03:30:00+02:00"]),
        # 25 October 2026: after 02:59 comes 02:00 once more.
        ("30 2 * * *", {}, "2026-10-24T12:00:00", ["2026-10-25 02:30:00+02:00", "2026-10-26 02:30:00+01:00"]),
        (
            "30 2 * * *",
            {"both": True},
            "2026-10-24T12:00:00",
            ["2026-10-25 02:30:00+02:00", "2026-10-25 02:30:00+01:00", "2026-10-26 02:30:00+01:00"],
        ),
        (
            "*/30 * * * *",
            {},
            "2026-10-25T00:00:00",
            ["2026-10-25 02:30:00+02:00", "2026-10-25 02:00:00+01:00", "2026-10-25 02:30:00+01:00"],
        ),
    ],
)
def test_when_the_clocks_change(text: str, options: dict[str, bool], after: str, expected: list[str]) -> None:
    assert walls(calendar(text, where="Europe/Berlin", **options), after, len(expected)) == expected


def test_a_whole_day_that_was_skipped() -> None:
    # Samoa went over the date line: there was no 30 December 2011.
    samoa = calendar("0 9 * * *", where="Pacific/Apia")
    assert walls(samoa, "2011-12-29T12:00:00", 3) == [
        "2011-12-29 09:00:00-10:00",
        "2011-12-31 00:00:00+14:00",
        "2011-12-31 09:00:00+14:00",
    ]


def test_a_gap_at_midnight_and_one_of_half_an_hour() -> None:
    assert walls(calendar("15 0 * * *", where="America/Havana"), "2026-03-07T12:00:00", 1) == [
        "2026-03-08 01:00:00-04:00"
    ]
    lord_howe = calendar("15 2 * * *", where="Australia/Lord_Howe")
    assert walls(lord_howe, "2026-10-03T00:00:00", 1) == ["2026-10-04 02:30:00+11:00"]


def test_an_overlap_across_midnight_stays_in_order() -> None:
    # 28 October 2007, St. John's: after 00:00 came 23:01 of the day before.
    found = list(
        ticks(
            calendar("*/20 * * * *", where="America/St_Johns"), utc("2007-11-04T00:00:00"), utc("2007-11-05T00:00:00")
        )
    )
    assert [tick.nominal for tick in found] == sorted({tick.nominal for tick in found})
    assert len(found) == 72


def test_it_fires_once_where_several_schedules_say_the_same() -> None:
    found = calendar("0 * * * *", "*/30 * * * *", "2026-01-01T01:00:00Z", "2026-01-01T01:10:00Z")
    assert walls(found, "2026-01-01T00:00:00", 5) == [
        "2026-01-01 00:30:00+00:00",
        "2026-01-01 01:00:00+00:00",
        "2026-01-01 01:10:00+00:00",
        "2026-01-01 01:30:00+00:00",
        "2026-01-01 02:00:00+00:00",
    ]


def test_exclusions() -> None:
    found = calendar(
        "0 9 * * *",
        where="Europe/Berlin",
        exclude=("2026-12-24/2026-12-26", "* * * * SUN", "2026-12-28T09:00:00+01:00"),
    )
    assert [wall[:10] for wall in walls(found, "2026-12-22T23:00:00", 3)] == ["2026-12-23", "2026-12-29", "2026-12-30"]


def test_every_counts_from_the_start() -> None:
    found = calendar("@every 7m", start=utc("2026-01-01T00:03:00"))
    assert [wall[11:16] for wall in walls(found, "2025-01-01T00:00:00", 3)] == ["00:03", "00:10", "00:17"]
    assert [wall[11:16] for wall in walls(found, "2026-01-01T00:10:00", 2)] == ["00:17", "00:24"]


def test_start_and_end_are_ticks_themselves() -> None:
    found = calendar("0 * * * *", start=utc("2026-01-01T02:00:00"), end=utc("2026-01-01T04:00:00"))
    assert [wall[11:16] for wall in walls(found, "2025-01-01T00:00:00", 9)] == ["02:00", "03:00", "04:00"]


def test_a_rare_day_is_found_and_the_end_of_time_is_an_end() -> None:
    assert walls(calendar("0 0 29 2 */7"), "2033-01-01T00:00:00", 1) == ["2060-02-29 00:00:00+00:00"]
    assert next_ticks(calendar("0 0 * * *"), utc("9899-12-31T00:00:00"), 5)[-1].nominal == utc("9900-01-01T00:00:00")


def test_an_unknown_zone() -> None:
    for name in ("Europe/Atlantis", "../etc/passwd", "", "Europe"):
        with pytest.raises(ScheduleError, match="no time zone"):
            zone(name)


def test_ids_are_of_the_tick_alone() -> None:
    tick = utc("2026-01-01T00:00:00")
    # Another id would mean a second job for ticks that are recorded already.
    assert job_id("a", tick) == "1e144e48-dc27-5104-9045-92cb15685611"
    assert job_id("a", tick.astimezone(ZoneInfo("Asia/Tokyo"))) == job_id("a", tick)
    assert len({job_id("a", tick), job_id("b", tick), job_id("a", tick + timedelta(seconds=1)), run_id("a", "0")}) == 4


# What holds always --------------------------------------------------------------------------------------------------


@given(expressions, zones, moments, spans, st.booleans(), st.booleans())
def test_each_tick_comes_once_and_in_order(
    text: str, where: str, after: datetime, span: timedelta, run_after: bool, both: bool
) -> None:
    assume(_comes(text))
    found = calendar(text, where=where, run_after=run_after, both=both)
    nominals = [tick.nominal for tick in ticks(found, after, after + span)]
    assert nominals == sorted(set(nominals))
    assert all(after < one <= after + span for one in nominals)


@given(expressions, zones, moments, spans, spans)
def test_it_does_not_matter_where_one_begins_to_look(
    text: str, where: str, after: datetime, first: timedelta, second: timedelta
) -> None:
    assume(_comes(text))
    found = calendar(text, where=where, jitter=timedelta(seconds=90))
    middle = after + first
    whole = list(ticks(found, after, middle + second))
    assert whole == list(ticks(found, after, middle)) + list(ticks(found, middle, middle + second))


@given(expressions, zones, moments, spans)
def test_a_day_has_a_fixed_time_once(text: str, where: str, after: datetime, span: timedelta) -> None:
    """The default: whatever the clocks do, a schedule with one time of day fires once on each of its days."""
    found = calendar("17 2 * * *", where=where)
    days = [tick.nominal.astimezone(found.where).date() for tick in ticks(found, after, after + span)]
    assert all((later - earlier).days == 1 for earlier, later in pairwise(days))


@given(expressions, zones, moments, spans, st.booleans())
def test_each_tick_is_a_wall_time_or_the_end_of_a_gap(
    text: str, where: str, after: datetime, span: timedelta, both: bool
) -> None:
    assume(_comes(text))
    cron = Cron.parse(text)
    found = calendar(text, where=where, both=both)
    for tick in ticks(found, after, after + span):
        wall = tick.nominal.astimezone(found.where).replace(tzinfo=None)
        if not cron.fits(wall):
            assert fate(wall - timedelta(seconds=1), found.where) == "Gap"


@given(zones, moments, st.integers(1, 3600), st.integers(1, 600))
def test_jitter_never_reaches_the_next_tick(where: str, after: datetime, jitter: int, every: int) -> None:
    found = calendar(f"@every {every}s", "3 * * * *", where=where, jitter=timedelta(seconds=jitter))
    some = list(ticks(found, after, after + timedelta(hours=1)))
    for one, following in pairwise(some):
        assert one.nominal <= one.due < following.nominal
        assert one.due - one.nominal <= timedelta(seconds=jitter)


def test_jitter_spreads() -> None:
    found = calendar("0 * * * *", jitter=timedelta(minutes=10))
    late = {(tick.due - tick.nominal).total_seconds() // 60 for tick in next_ticks(found, utc("2026-01-01"), 200)}
    assert late == set(range(10))


@given(expressions, zones, moments, spans, st.integers(1, 30))
def test_the_last_ones_are_the_last_ones(text: str, where: str, after: datetime, span: timedelta, count: int) -> None:
    assume(_comes(text))
    found = calendar(text, where=where)
    until = after + span
    assert last_ticks(found, after, until, count) == list(ticks(found, after, until))[-count:]


def _comes(text: str) -> bool:
    try:
        Cron.parse(text)
    except ScheduleError:
        return False
    return True


def test_all_zones_of_the_tests_exist() -> None:
    assert all(zone(name) for name in ZONES)
