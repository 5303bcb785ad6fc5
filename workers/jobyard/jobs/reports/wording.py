"""Values as people read them, in English. Pure; the machine-readable formats (csv, xlsx) write values themselves."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from jobyard.jobs.reports.period import Unit
from jobyard.jobs.reports.report import KeyFigure, Kind

NUMERIC: Final = frozenset({Kind.ID, Kind.COUNT, Kind.MONEY, Kind.SHARE, Kind.RATIO, Kind.SECONDS})
"""Kinds that stand to the right of their column."""

_SYMBOLS: Final = {"EUR": "€", "USD": "$", "GBP": "£"}
_SPACE: Final = "\u00a0"  # Keeps a number and its unit on one line.
_STEPS: Final = ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k"))


def words(kind: Kind, value: Any, currency: str, *, cents: bool = False) -> str:
    """`value` in full: "€1,234", "12.5 %", "2 min 5 s".

    Args:
        cents: show the hundredths of an amount.
    """
    if value is None:  # The database doesn't know it.
        return "–"
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
            return f"{value * 100:.1f}{_SPACE}%"
        case Kind.RATIO:
            return f"{value:.2f}"
        case Kind.SECONDS:
            minutes, seconds = divmod(round(value), 60)
            return f"{minutes}{_SPACE}min {seconds}{_SPACE}s" if minutes else f"{seconds}{_SPACE}s"
        case Kind.DATE:
            return f"{value.day} {value:%b %Y}"
        case Kind.TIME:
            return f"{value:%Y-%m-%d %H:%M}"


def short(kind: Kind, value: float, currency: str, *, tick: bool = False) -> str:
    """`value` in a few characters: "€1.20 M", "45.6 k", "3:14 min".

    Args:
        tick: for an axis, whose numbers are round: "€1.2 M".
    """
    match kind:
        case Kind.MONEY:
            return money(_rounded(value / 100, tick), currency)
        case Kind.COUNT:
            return _rounded(value, tick)
        case Kind.SECONDS if value >= 60:
            return "{}:{:02d}{}min".format(*divmod(round(value), 60), _SPACE)
        case _:
            return words(kind, value, currency)


def money(number: str, currency: str) -> str:
    """`number` with the sign or the code of its currency."""
    minus = "−" if number.startswith("-") else ""
    number = number.lstrip("-")
    return f"{minus}{_SYMBOLS[currency]}{number}" if currency in _SYMBOLS else f"{minus}{number}{_SPACE}{currency}"


def change(figure: KeyFigure) -> str:
    """How a figure changed: "+4.2 %", or "+0.3 pp" (percentage points) for a share; "" if nothing to compare with."""
    moved = _moved(figure)
    if moved is None:
        return ""
    unit = "pp" if figure.kind is Kind.SHARE else "%"
    return _signed(f"{moved:+.1f}{_SPACE}{unit}") if moved else f"±0.0{_SPACE}{unit}"


def tone(figure: KeyFigure) -> str:
    """Whether its change is `good`, `bad` or `flat` news."""
    moved = _moved(figure)
    if not moved:
        return "flat"
    return "good" if (moved > 0) == figure.more_is_better else "bad"


def _moved(figure: KeyFigure) -> float | None:
    """The change in per cent, or in percentage points, as exactly as it is shown; so "±0.0" is neither good nor bad."""
    if figure.before is None:
        return None
    if figure.kind is Kind.SHARE:
        return round((figure.value - figure.before) * 100, 1)
    return None if figure.change is None else round(figure.change * 100, 1)


def point(unit: Unit, day: date, *, with_year: bool) -> str:
    """The label of one point of a chart over time."""
    if unit is Unit.MONTH:
        return f"{day:%b %Y}" if with_year else f"{day:%b}"
    return f"{day.day} {day:%b %Y}" if with_year else f"{day.day} {day:%b}"


def _rounded(number: float, tick: bool) -> str:
    for step, letter in _STEPS:
        # 999,950 would round to "1000 k".
        if abs(number) >= step * 0.9995:
            digits = f"{number / step:.3g}" if tick else f"{number / step:#.3g}".removesuffix(".")
            return _signed(f"{digits}{_SPACE}{letter}")
    return _signed(f"{number:,.0f}" if number == int(number) or abs(number) >= 100 else f"{number:.3g}")


def _signed(text: str) -> str:
    return text.replace("-", "−")
