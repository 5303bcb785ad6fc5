"""How the days of a report become points of a chart, and which period it is compared with."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.jobs.reports.period import Period, Unit, start_of

DAYS = st.dates(date(1970, 1, 1), date(2199, 12, 31))


@given(DAYS, st.integers(0, 1829))
def test_every_day_of_a_period_falls_into_one_of_its_buckets(start: date, more: int) -> None:
    period = Period(start, start + timedelta(days=more))
    buckets = period.buckets()
    assert buckets == sorted(set(buckets))
    assert {start_of(period.unit, start + timedelta(days=day)) for day in range(period.days)} == set(buckets)


@given(DAYS, st.integers(0, 1829))
def test_the_period_before_ends_the_day_before(start: date, more: int) -> None:
    period = Period(start, start + timedelta(days=more))
    before = period.before()
    assert before.end + timedelta(days=1) == period.start
    # Months differ in length, years by a leap day.
    assert abs(before.days - period.days) <= 3 + more // 365


@pytest.mark.parametrize(
    ("period", "before"),
    [
        (Period(date(2025, 1, 1), date(2025, 12, 31)), Period(date(2024, 1, 1), date(2024, 12, 31))),
        (Period(date(2025, 3, 1), date(2025, 3, 31)), Period(date(2025, 2, 1), date(2025, 2, 28))),
        (Period(date(2025, 1, 1), date(2025, 1, 31)), Period(date(2024, 12, 1), date(2024, 12, 31))),
        (Period(date(2025, 3, 3), date(2025, 3, 9)), Period(date(2025, 2, 24), date(2025, 3, 2))),
    ],
)
def test_whole_months_are_compared_with_whole_months_and_days_with_days(period: Period, before: Period) -> None:
    assert period.before() == before


@pytest.mark.parametrize(
    ("days", "unit"), [(1, Unit.DAY), (62, Unit.DAY), (63, Unit.WEEK), (366, Unit.WEEK), (401, Unit.MONTH)]
)
def test_the_unit_follows_the_length(days: int, unit: Unit) -> None:
    assert Period(date(2025, 1, 1), date(2025, 1, 1) + timedelta(days=days - 1)).unit is unit


def test_a_partly_covered_week_is_known_at_both_ends() -> None:
    monday, sunday = date(2025, 1, 6), date(2025, 4, 6)
    assert Period(monday, sunday).incomplete_ends() == (False, False)
    assert Period(monday + timedelta(days=1), sunday - timedelta(days=1)).incomplete_ends() == (True, True)


def test_a_period_reads_as_people_write_it() -> None:
    assert str(Period(date(2025, 1, 1), date(2025, 3, 31))) == "1 January 2025 – 31 March 2025"
    assert str(Period(date(2025, 1, 1), date(2025, 1, 1))) == "1 January 2025"
