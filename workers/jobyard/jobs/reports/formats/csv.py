"""CSV: every row, nothing else. UTF-8, a header line, RFC 4180.

Made to be read by programs, and safe to open in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import islice
from typing import IO, Any, Final

from jobyard.jobs.reports.query import ROWS_AT_A_TIME
from jobyard.jobs.reports.report import Column, Kind, Report

# A spreadsheet takes a cell that begins so for a formula: a customer's name could run a command.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def write_csv(report: Report, file: IO[bytes]) -> None:
    """Write all rows. Amounts are in units of the currency ("12.50"), times in ISO 8601, durations in seconds."""
    as_cell = [_CELLS.get(column.kind, str) for column in report.columns]

    def cells(row: Sequence[Any]) -> list[str]:
        return ["" if value is None else cell(value) for cell, value in zip(as_cell, row, strict=True)]

    rows = report.rows(None)
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow([title(column, report.currency) for column in report.columns])
    while True:
        file.write(text.getvalue().encode())
        part = list(islice(rows, ROWS_AT_A_TIME))
        if not part:
            return
        text.seek(0)
        text.truncate()
        lines.writerows(map(cells, part))


def title(column: Column, currency: str) -> str:
    """The name of a column with its unit."""
    match column.kind:
        case Kind.MONEY:
            return f"{column.title} ({currency})"
        case Kind.SECONDS:
            return f"{column.title} (s)"
    return column.title


def safe_text(value: Any) -> str:
    """`value` as text that no spreadsheet takes for a formula: an apostrophe before such a start disarms it."""
    text = str(value)
    if text and (text[0] in "\t\r\n" or text.lstrip().startswith(_FORMULA_STARTS)):
        return "'" + text
    return text


_CELLS: Final[dict[Kind, Callable[[Any], str]]] = {
    Kind.TEXT: safe_text,
    Kind.MONEY: lambda hundredths: str(Decimal(hundredths).scaleb(-2)),
    # Not isoformat: a PostgreSQL column with time zone gives "+00:00", which the column's title says already.
    Kind.TIME: lambda time: f"{time:%Y-%m-%d %H:%M:%S}",
}
