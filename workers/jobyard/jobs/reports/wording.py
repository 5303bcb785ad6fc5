"""Values as people read them, in English. Pure; the machine-readable formats (csv, xlsx) write values themselves."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from jobyard.jobs.reports.period import Unit
from jobyard.jobs.reports.report import KeyFigure, Kind

NUMERIC: Final = frozenset({Kind.ID, Kind.COUNT, Kind.MONEY, Kind.SHARE, Kind.RATIO, Kind.SECONDS})
"""Kinds that stand to the right of their column."""

_SYMBOLS: Final = {"EUR": "€", "USD": "$", "GBP": "£"}
_STEPS: Final = ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k"))


def words(kind: Kind, value: Any, currency: str, *, cents: bool = False) -> str:
    """`value` in full: "€1,234", "12.5 %", "2 min 5 s".

    Args:
        cents: show the hundredths of an amount.
    """
    match kind:
        case Kind.TEXT:
            return str(value)
        case Kind.ID:
            return str(value)
        case Kind.COUNT:
            return _signed(f"{int(value):,}")
        case Kind.MONEY:
            return money(f"{value / 100:,.2f}" if cents else f"{value / 100:,.0f}", currency)
        case Kind.SHARE:
            return f"{value * 100:.1f} %"
        case Kind.RATIO:
            return f"{value:.2f}"
        case Kind.SECONDS:
            minutes, seconds = divmod(round(value), 60)
            return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
        case Kind.DATE:
            return f"{value.day} {value:%b %Y}"
        case Kind.TIME:
            return f"{value:%Y-%m-%d %H:%M}"


def short(kind: Kind, value: float, currency: str) -> str:
    """`value` in a few characters, for axes and key figures: "€1.23 M", "45.6 k"."""
    match kind:
        case Kind.MONEY:
            return money(_rounded(value / 100), currency)
        case Kind.COUNT:
            return _rounded(value)
        case _:
            return words(kind, value, currency)


def money(number: str, currency: str) -> str:
    """`number` with the sign or the code of its currency."""
    minus = "−" if number.startswith("-") else ""
    number = number.lstrip("-")
    return f"{minus}{_SYMBOLS[currency]}{number}" if currency in _SYMBOLS else f"{minus}{number} {currency}"


def change(figure: KeyFigure) -> str:
    """How a figure changed: "+4.2 %"; a share changes in points. "" if there is nothing to compare with."""
    if figure.before is None or figure.change is None:
        return ""
    if figure.kind is Kind.SHARE:
        return _signed(f"{(figure.value - figure.before) * 100:+.1f} points")
    return _signed(f"{figure.change * 100:+.1f} %")


def tone(figure: KeyFigure) -> str:
    """Whether its change is `good`, `bad` or `flat` news."""
    if figure.before is None or abs(figure.value - figure.before) < 0.0005 * abs(figure.before):
        return "flat"
    return "good" if (figure.value > figure.before) == figure.more_is_better else "bad"


def point(unit: Unit, day: date, *, with_year: bool) -> str:
    """The label of one point of a chart over time."""
    if unit is Unit.MONTH:
        return f"{day:%b %Y}" if with_year else f"{day:%b}"
    return f"{day.day} {day:%b %Y}" if with_year else f"{day.day} {day:%b}"


def _rounded(number: float) -> str:
    for step, letter in _STEPS:
        # 999,950 would round to "1000 k".
        if abs(number) >= step * 0.9995:
            return _signed(f"{number / step:.3g} {letter}")
    return _signed(f"{number:,.0f}" if number == int(number) or abs(number) >= 100 else f"{number:.3g}")


def _signed(text: str) -> str:
    return text.replace("-", "−")
