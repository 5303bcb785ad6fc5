"""Lengths of time, as they are written and read."""

from __future__ import annotations

import pytest

from jobyard.cli.durations import parse_duration, say_duration


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("250ms", 250), ("90s", 90_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000), ("2w", 1_209_600_000),
     ("1h30m", 5_400_000), ("1.5h", 5_400_000), (" 5M ", 300_000), ("0s", 0)],
)  # fmt: skip
def test_what_people_write_is_understood(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5x", "-5m", "5 m", "1h-5m", "1e3s", "٣s", "9999w", "inf", "1..5s", "5m\n5"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"length of time|20 years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0ms"), (999, "999ms"), (1999, "1s"), (303_000, "5m 3s"), (3_600_000, "1h"), (3_605_000, "1h"),
     (7_800_000, "2h 10m"), (90_000_000, "1d 1h"), (-5, "0ms")],
)  # fmt: skip
def test_people_are_told_the_two_units_that_matter(milliseconds: int, text: str) -> None:
    assert say_duration(milliseconds) == text
