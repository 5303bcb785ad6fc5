"""`FirstDay(unit, time)`: the start of the day, week or month of a time, as an SQL expression.

SQL has no common word for it, so each database that reports can read has its own here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Date
from sqlalchemy.exc import CompileError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from jobyard.jobs.reports.period import Unit


class FirstDay(FunctionElement[Any]):
    """The first day (a date) of the unit that the time in `column` is in. Weeks start on Monday."""

    name = "first_day"
    type = Date()
    inherit_cache = False

    def __init__(self, unit: Unit, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.unit = unit


@compiles(FirstDay)
def _unknown(element: FirstDay, compiler: SQLCompiler, **kwargs: Any) -> str:
    raise CompileError(f"reports can't read a {compiler.dialect.name} database, only SQLite and PostgreSQL")


@compiles(FirstDay, "postgresql")
def _postgresql(element: FirstDay, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"CAST(date_trunc('{element.unit.value}', {compiler.process(element.clauses, **kwargs)}) AS DATE)"


@compiles(FirstDay, "sqlite")
def _sqlite(element: FirstDay, compiler: SQLCompiler, **kwargs: Any) -> str:
    # "weekday 1" goes forward to the next Monday unless it is one, so it starts six days earlier.
    steps = {Unit.DAY: "", Unit.WEEK: ", '-6 days', 'weekday 1'", Unit.MONTH: ", 'start of month'"}[element.unit]
    return f"date({compiler.process(element.clauses, **kwargs)}{steps})"
