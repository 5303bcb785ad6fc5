"""Figures as people read them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from jobyard.jobs.reports.report import KeyFigure, Kind
from jobyard.jobs.reports.wording import change, short, tone, words


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Kind.COUNT, 1234567, "1,234,567"),
        (Kind.COUNT, -1234, "−1,234"),
        (Kind.ID, 1234567, "1234567"),
        (Kind.MONEY, 123456789, "€1,234,568"),
        (Kind.MONEY, -123456, "−€1,235"),
        (Kind.SHARE, 0.0456, "4.6 %"),
        (Kind.RATIO, 4.5678, "4.57"),
        (Kind.SECONDS, 59.4, "59 s"),
        (Kind.SECONDS, 125, "2 min 5 s"),
        (Kind.DATE, date(2025, 3, 1), "1 Mar 2025"),
        (Kind.TIME, datetime(2025, 3, 1, 9, 5, 7), "2025-03-01 09:05"),  # noqa: DTZ001 - reports keep UTC without a zone
    ],
)
def test_values_in_full(kind: Kind, value: Any, text: str) -> None:
    assert plain(words(kind, value, "EUR")) == text


def test_an_amount_can_show_its_hundredths_and_a_currency_without_a_sign() -> None:
    assert plain(words(Kind.MONEY, 123450, "CHF", cents=True)) == "1,234.50 CHF"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.4, "999"),
        (1000, "1.00 k"),
        (12_345, "12.3 k"),
        (100_000, "100 k"),
        (999_960, "1.00 M"),
        (2e9, "2.00 B"),
    ],
)
def test_short_counts_keep_three_digits(value: float, text: str) -> None:
    assert plain(short(Kind.COUNT, value, "EUR")) == text


def test_ticks_of_an_axis_are_round() -> None:
    assert plain(short(Kind.MONEY, 25_000_000, "EUR", tick=True)) == "€250 k"
    assert plain(short(Kind.MONEY, 250_000_000, "EUR", tick=True)) == "€2.5 M"


@pytest.mark.parametrize(
    ("figure", "text", "mood"),
    [
        (KeyFigure("a", Kind.COUNT, 110, 100), "+10.0 %", "good"),
        (KeyFigure("a", Kind.COUNT, 90, 100), "−10.0 %", "bad"),
        (KeyFigure("a", Kind.COUNT, 90, 100, more_is_better=False), "−10.0 %", "good"),
        (KeyFigure("a", Kind.COUNT, 100.01, 100), "±0.0 %", "flat"),
        (KeyFigure("a", Kind.SHARE, 0.05, 0.04), "+1.0 pp", "good"),
        (KeyFigure("a", Kind.COUNT, 5, 0), "", "flat"),
        (KeyFigure("a", Kind.COUNT, 5, None), "", "flat"),
    ],
)
def test_a_change_is_good_or_bad_as_the_figure_has_it(figure: KeyFigure, text: str, mood: str) -> None:
    assert plain(change(figure)) == text
    assert tone(figure) == mood
