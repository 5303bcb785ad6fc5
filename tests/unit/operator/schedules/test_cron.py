"""Cron expressions: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from itertools import islice

import pytest

from jobyard_operator.core.schedules.cron import LONGEST, Cron, ScheduleError
from jobyard_operator.core.schedules.expressions import Days, Every, Once, interval, parse, parse_exclusion
from jobyard_operator.resources.crd import schema
from jobyard_operator.resources.jobschedule import JobScheduleSpec

NEW_YEAR = datetime.combine(date(2026, 1, 1), time())
FAR = datetime.combine(date(2080, 1, 1), time())


def first(text: str, count: int = 3, *, since: datetime = NEW_YEAR) -> list[str]:
    return [str(wall) for wall in islice(Cron.parse(text).walls(since, FAR), count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 2 * * *", ["2026-01-01 02:30:00", "2026-01-02 02:30:00", "2026-01-03 02:30:00"]),
        ("*/10 30 2 * * *", ["2026-01-01 02:30:00", "2026-01-01 02:30:10", "2026-01-01 02:30:20"]),
        ("0 0 1 JAN,jul *", ["2026-01-01 00:00:00", "2026-07-01 00:00:00", "2027-01-01 00:00:00"]),
        ("0 9 * * mon-wed", ["2026-01-05 09:00:00", "2026-01-06 09:00:00", "2026-01-07 09:00:00"]),
        ("0 9 ? * 7", ["2026-01-04 09:00:00", "2026-01-11 09:00:00", "2026-01-18 09:00:00"]),
        ("0 9 * * 0", ["2026-01-04 09:00:00", "2026-01-11 09:00:00", "2026-01-18 09:00:00"]),
        ("0 9 * * fri-sun", ["2026-01-02 09:00:00", "2026-01-03 09:00:00", "2026-01-04 09:00:00"]),
        ("0 9 * * */3", ["2026-01-03 09:00:00", "2026-01-04 09:00:00", "2026-01-07 09:00:00"]),
        ("0 0 L * *", ["2026-01-31 00:00:00", "2026-02-28 00:00:00", "2026-03-31 00:00:00"]),
        ("0 0 15,L 2 *", ["2026-02-15 00:00:00", "2026-02-28 00:00:00", "2027-02-15 00:00:00"]),
        ("0 0 * * 5L", ["2026-01-30 00:00:00", "2026-02-27 00:00:00", "2026-03-27 00:00:00"]),
        ("0 0 * * TUE#2", ["2026-01-13 00:00:00", "2026-02-10 00:00:00", "2026-03-10 00:00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00:00", "2032-02-29 00:00:00", "2036-02-29 00:00:00"]),
        # Either the 13th or a Friday; but with a star in one of them, both.
        ("0 0 13 * FRI", ["2026-01-02 00:00:00", "2026-01-09 00:00:00", "2026-01-13 00:00:00"]),
        ("0 0 */2 * MON", ["2026-01-05 00:00:00", "2026-01-19 00:00:00", "2026-02-09 00:00:00"]),
        ("50/5 23 * * *", ["2026-01-01 23:50:00", "2026-01-01 23:55:00", "2026-01-02 23:50:00"]),
        ("0 0 29 2 */7", ["2032-02-29 00:00:00", "2060-02-29 00:00:00"]),
    ],
)
def test_what_it_means(text: str, expected: list[str]) -> None:
    assert first(text, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * *", "4 fields; a cron expression has 5"),
        ("", "0 fields"),
        ("60 * * * *", "'60' is no minute: allowed are 0 to 59"),
        ("60 * * * * *", "'60' is no second"),
        ("* 24 * * *", "'24' is no hour: allowed are 0 to 23"),
        ("* * 0 * *", "'0' is no day of month: allowed are 1 to 31, L (the last one), *"),
        ("* * LW * *", "'LW' is no day of month"),
        ("* * * 13 *", "'13' is no month: allowed are 1 to 12 or JAN to DEC"),
        ("* * * FOO *", "'FOO' is no month"),
        ("* * * * 8", "'8' is no day of week: allowed are 0 to 7 or SUN to SAT"),
        ("* * * * MON#6", "which one of the month: 1 to 5"),
        ("* 5-3 * * *", "the wrong way round: write 3-5"),
        ("*/0 * * * *", "after / stands a step"),
        ("*/60 * * * *", "a step is at most 59"),
        ("1,,2 * * * *", "'' is no minute"),
        ("? * * * *", "? stands for * in the two fields of days only"),
        ("0 0 31 2 *", "never comes: Feb has no day 31"),
        ("0 0 31 4,6 *", "never comes: Apr or Jun has no day 31"),
        ("0 0 */31 * MON#5", "never comes: no day fits both"),
        ("CRON_TZ=Europe/Berlin 0 0 * * *", "use timeZone"),
        ("٣ * * * *", "is no minute"),
        ("x" * (LONGEST + 1), "at most 256 characters"),
    ],
)
def test_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        Cron.parse(text)
    assert words in str(caught.value)


def test_a_day_that_comes_only_in_leap_years_comes() -> None:
    assert first("0 0 29 2 */7", 1) == ["2032-02-29 00:00:00"]
    assert first("0 0 31 2 MON", 1) == ["2026-02-02 00:00:00"]


def test_other_expressions() -> None:
    assert parse("@every 1h30m") == Every("@every 1h30m", 5400)
    assert parse("@Hourly") == Cron.parse("0 * * * *")
    assert parse("2026-12-24T18:00:00+01:00") == Once(
        "2026-12-24T18:00:00+01:00", datetime(2026, 12, 24, 17, tzinfo=UTC)
    )
    assert parse_exclusion("2026-12-24/2026-12-31") == Days(
        "2026-12-24/2026-12-31", date(2026, 12, 24), date(2026, 12, 31)
    )
    assert parse_exclusion("* * 25 12 *") == Cron.parse("* * 25 12 *")
    assert interval("2d") == 172_800


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("@reboot", "nothing reboots"),
        ("@fortnightly", "'@fortnightly' is unknown"),
        ("@every", "is no interval"),
        ("@every 5", "is no interval: write for instance 90s"),
        ("@every 0s", "at least a second"),
        ("@every 5m5m", "given twice"),
        ("@every 500d", "at most 366 days"),
        ("2026-12-24T18:00:00", "add the offset, for instance 2026-12-24T18:00:00Z"),
        ("2026-13-24T18:00:00Z", "is no time"),
        ("2026-12-24T18:00:00.5Z", "whole seconds"),
        ("2026-12-24", "is no time: write it like"),
    ],
)
def test_what_is_wrong_with_others(text: str, words: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["2026-12-31/2026-12-24", "@every 5m", "2026-02-30", "2026-12-24/", "nonsense"])
def test_what_cannot_be_excluded(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse_exclusion(text)


@pytest.mark.parametrize(
    "text",
    [
        "30 2 * * *", " 30 2 * * * ", "*/10 30 2 * * *", "0 9 L * *", "0 9 * * FRI#2,FRIL", "0 9 ? * mon-fri",
        "@hourly", "@every 1h30m", "@every  90s", "2026-12-24T18:00:00+01:00", "2026-12-24T18:00Z",
    ],
)  # fmt: skip
def test_the_api_server_lets_through_what_is_understood(text: str) -> None:
    assert parse(text)
    assert _let_through("schedules", text)
    if not text.startswith("@every"):
        assert parse_exclusion(text)
        assert _let_through("exclude", text)


@pytest.mark.parametrize("text", ["nonsense", "* * * *", "@reboot", "@every 5", "2026-12-24", "CRON_TZ=UTC 0 0 * * *"])
def test_the_api_server_refuses_what_is_no_schedule_at_all(text: str) -> None:
    assert not _let_through("schedules", text)
    assert _let_through("exclude", "2026-12-24")
    assert not _let_through("exclude", "@every 5m")


def _let_through(field: str, text: str) -> bool:
    """What the CEL rules say, of which there are only two kinds here."""
    for rule in schema(JobScheduleSpec)["properties"][field]["items"]["x-kubernetes-validations"]:
        pattern = re.fullmatch(r"self\.matches\(r'(.*)'\)", rule["rule"])
        if pattern and not re.search(pattern[1], text):
            return False
        word = re.fullmatch(r"!self\.contains\('(.*)'\)", rule["rule"])
        if word and word[1] in text:
            return False
        assert pattern or word
    return True
