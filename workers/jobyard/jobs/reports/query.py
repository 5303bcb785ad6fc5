"""What the queries of every report type share: totals of time units, shares, and rows as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, Row, Select

from jobyard.jobs.reports.period import Period

ROWS_AT_A_TIME: Final = 1000
"""How many rows are in memory at once."""

MOST_NAMES: Final = 12
"""A chart by name shows so many; more could be neither read nor drawn."""


def stream(connection: Connection, statement: Select[Any], limit: int | None) -> Iterator[Row[Any]]:
    """The rows of `statement`, from a cursor of the server where it has such, a part at a time."""
    result = connection.execute(statement.limit(limit), execution_options={"yield_per": ROWS_AT_A_TIME})
    # Closing also when the reader stops early: psycopg holds a server-side cursor open until then.
    with result:
        yield from result


def over_period(period: Period, totals: Sequence[Row[Any]], columns: int) -> list[tuple[Any, ...]]:
    """One row for every unit of the period: its first day and `columns` totals, zero where nothing happened.

    Args:
        totals: rows of a first day and the totals, for the units in which something happened.
    """
    found: dict[date, tuple[Any, ...]] = {row[0]: tuple(row[1:]) for row in totals}
    nothing = (0,) * columns
    return [(day, *(int(total or 0) for total in found.get(day, nothing))) for day in period.buckets()]


def incomplete_note(period: Period) -> str:
    """Why a chart may fall at its ends, or "" if it has no reason to."""
    match period.incomplete_ends():
        case (True, True):
            return f"The first and the last {period.unit} are only partly in the period."
        case (True, False):
            return f"The first {period.unit} is only partly in the period."
        case (False, True):
            return f"The last {period.unit} is only partly in the period."
    return ""


def with_others(
    rows: Sequence[tuple[Any, ...]], totals: Sequence[float], most: int = MOST_NAMES
) -> list[tuple[Any, ...]]:
    """At most `most` rows of a name and its sums, in the order given; what is missing of `totals` is in one more row."""
    shown: list[tuple[Any, ...]] = [
        ("(not known)" if name is None else name, *(int(value) for value in sums)) for name, *sums in rows[:most]
    ]
    if len(rows) <= most:
        return shown
    rest = (int(total) - sum(row[place] for row in shown) for place, total in enumerate(totals, 1))
    return [*shown, ("All others", *rest)]


def share(part: float | None, whole: float | None) -> float:
    """`part` of `whole`, 0 if there is no whole."""
    return float(part or 0) / float(whole) if whole else 0.0
