"""What a report is, whatever it is about and whatever file it becomes: key figures, sections, and rows.

A report type (`sales`, `analytics`) makes a `Report`; a format (`csv`, `xlsx`, `html`, `pdf`) writes one. Neither knows
the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Any

from jobyard.jobs.reports.access import Requester
from jobyard.jobs.reports.period import Period


class Kind(Enum):
    """What a value is, so that each format can show it in its own way. In brackets: the Python value."""

    TEXT = auto()  # str
    ID = auto()  # int, the number of a thing
    COUNT = auto()  # int, how many
    MONEY = auto()  # int, hundredths of the currency
    SHARE = auto()  # float, 1 is the whole
    RATIO = auto()  # float, such as pages a session
    SECONDS = auto()  # float
    DATE = auto()  # date
    TIME = auto()  # datetime, UTC, without time zone


class Chart(StrEnum):
    """How the figures of a section are drawn."""

    OVER_TIME = "over time"
    BARS = "bars"
    FUNNEL = "funnel"


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One figure that sums up the period, and the same of the period before (None: nothing to compare with)."""

    label: str
    kind: Kind
    value: float
    before: float | None = None
    more_is_better: bool = True

    @property
    def change(self) -> float | None:
        """The change since the period before, as a share of that; None where it has no meaning."""
        return (self.value - self.before) / self.before if self.before else None


@dataclass(frozen=True, slots=True)
class Section:
    """A small table of totals with its chart. The first column labels the rows; `plotted` are those that are drawn."""

    title: str
    chart: Chart
    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    plotted: tuple[int, ...] = (1,)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A report, ready to be written.

    Attributes:
        title: "Sales report".
        noun: what a row is, in the plural: "orders".
        period: the days covered.
        requester: who asked, and what of the data that user may see.
        created: when, in UTC.
        currency: ISO 4217 code of all amounts.
        figures, sections: totals, computed by the database; none when the period is empty.
        columns: of the rows.
        row_count: how many rows there are.
        rows: fetches them in order, at most `limit`, as a stream that holds only a part in memory at a time.
        empty_note: for an empty period: what there is instead.
    """

    title: str
    noun: str
    period: Period
    requester: Requester
    created: datetime
    currency: str
    columns: tuple[Column, ...]
    row_count: int
    rows: Callable[[int | None], Iterator[Sequence[Any]]]
    figures: list[KeyFigure] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    empty_note: str = ""

    def empty(self, first: datetime | None, last: datetime | None) -> Report:
        """This report for a period without a row: it says so, and which days there is something to report of."""
        note = f"There are no {self.noun} in this period."
        if first and last:
            days = (Period(at.date(), at.date()) for at in (first, last))
            note += " The earliest are of {}, the latest of {}.".format(*days)
        return replace(self, empty_note=note)
