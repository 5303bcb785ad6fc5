"""Which database reports read, and how: a clear word when the setting can't work, read-only, one snapshot."""

from __future__ import annotations

import builtins
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, text
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import CompileError, OperationalError

from jobyard import PermanentError
from jobyard.jobs.reports import analytics, sales
from jobyard.jobs.reports.access import Requester
from jobyard.jobs.reports.database import database_url, snapshot
from jobyard.jobs.reports.period import Period, Unit
from jobyard.jobs.reports.settings import ReportsSettings
from jobyard.jobs.reports.tables import orders, products, sessions
from jobyard.jobs.reports.truncate import FirstDay

from .conftest import Make

SECRET = "s3cr3t-word"


def settings(url: str) -> ReportsSettings:
    return ReportsSettings(database_url=SecretStr(url))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"nonsense {SECRET}", "not a database URL"),
        (f"postgresql://user:{SECRET}@host:port/name", "not a database URL"),
        (f"mysql://user:{SECRET}@host/name", "names 'mysql'; reports read sqlite and postgresql"),
        (f"postgresql+asyncpg://user:{SECRET}@host/name", "names 'postgresql+asyncpg'"),
        ("sqlite:////nowhere/reports.db", "no file '/nowhere/reports.db'"),
        ("sqlite://", "no file"),
    ],
)
def test_a_url_that_cannot_work_is_explained_without_showing_it(url: str, says: str) -> None:
    with pytest.raises(PermanentError, match="JOBYARD_REPORTS_DATABASE_URL") as refused:
        database_url(url)
    assert says in str(refused.value)
    error: BaseException | None = refused.value
    while error is not None:
        assert SECRET not in str(error)
        assert error.__suppress_context__ or error.__context__ is None
        error = error.__cause__


def test_a_missing_driver_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whether psycopg is installed on this machine or not, here it is not.
    real = builtins.__import__

    def without_psycopg(name: str, *rest: Any, **options: Any) -> Any:
        if name.split(".")[0] == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without_psycopg)
    with (
        pytest.raises(PermanentError, match=r"pip install 'psycopg\[binary\]'") as refused,
        snapshot(settings(f"postgresql://user:{SECRET}@127.0.0.1/name")),
    ):
        pass
    assert SECRET not in str(refused.value)


def test_plain_postgresql_urls_take_psycopg_3() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        assert database_url(f"{scheme}://user:word@host/name").drivername == "postgresql+psycopg"
    assert database_url("postgresql+psycopg2://user:word@host/name").drivername == "postgresql+psycopg2"


def test_the_url_is_a_secret_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_REPORTS_DATABASE_URL", f"postgresql://user:{SECRET}@host/name")
    assert SECRET not in repr(ReportsSettings())
    assert SECRET not in str(ReportsSettings().model_dump())


def test_all_tables_and_columns_that_are_missing_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE regions (id INTEGER PRIMARY KEY, title TEXT)")
    with (
        pytest.raises(PermanentError, match=r"docs/jobs/reports\.md") as refused,
        snapshot(settings(f"sqlite:///{path}")),
    ):
        pass
    for missing in ("column regions.name", "table users", "table orders", "table sessions"):
        assert missing in str(refused.value)


def test_views_do_as_well_as_tables(own_database: Callable[..., Path], make: Make) -> None:
    path = own_database(orders=[(1, "2025-03-05 10:00:00", 1, 1, "web", 2, 100, 200, "paid")])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE orders RENAME TO kept_orders")
        connection.execute("CREATE VIEW orders AS SELECT * FROM kept_orders")
        connection.commit()
    assert make("sales", "csv").result["rows"] == 1


def test_reports_cannot_write(sample_file: Path) -> None:
    with (
        snapshot(ReportsSettings(sample_database=sample_file)) as connection,
        pytest.raises(OperationalError, match="readonly"),
    ):
        connection.execute(text("DELETE FROM orders"))


def test_a_report_sees_one_state_of_the_database_while_others_write(own_database: Callable[..., Path]) -> None:
    path = own_database()
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")  # in which writers don't wait for readers
        count = select(func.count()).select_from(orders)
        with snapshot(settings(f"sqlite:///{path}")) as connection:
            assert connection.scalar(count) == 0
            writer.execute("INSERT INTO orders VALUES (1, '2025-03-05 10:00:00', 1, 1, 'web', 1, 100, 100, 'paid')")
            writer.commit()
            assert connection.scalar(count) == 0
        with snapshot(settings(f"sqlite:///{path}")) as connection:
            assert connection.scalar(count) == 1


def test_days_begin_and_end_at_midnight_with_and_without_fractions(
    own_database: Callable[..., Path], make: Make
) -> None:
    times = [
        "2025-02-28 23:59:59",
        "2025-02-28 23:59:59.999999",
        "2025-03-01 00:00:00",
        "2025-03-01 00:00:00.000000",
        "2025-03-31 23:59:59.999999",
        "2025-04-01 00:00:00",
        "2025-04-01 00:00:00.000000",
    ]
    own_database(orders=[(number, at, 1, 1, "web", 1, 1, 1, "paid") for number, at in enumerate(times)])
    made = make("sales", "csv", date_range={"start": "2025-03-01", "end": "2025-03-31"})
    assert [row["Order"] for row in made.rows()] == ["2", "3", "4"]


@pytest.mark.parametrize("unit", list(Unit))
def test_the_database_cuts_time_as_the_period_does(unit: Unit, sample_file: Path) -> None:
    from jobyard.jobs.reports.period import start_of

    with snapshot(ReportsSettings(sample_database=sample_file)) as connection:
        day = FirstDay(Unit.DAY, orders.c.placed_at)
        pairs = connection.execute(select(day, FirstDay(unit, orders.c.placed_at)).distinct()).all()
    assert len(pairs) == 731
    assert all(first == start_of(unit, day) for day, first in pairs)


PERIOD = Period(datetime(2025, 1, 1).date(), datetime(2025, 12, 31).date())  # noqa: DTZ001 - only the days are used
MANAGER = Requester("2", "Max", "manager", 1, "North")


def statements() -> dict[str, Any]:
    of_sales, of_visits = sales._seen(PERIOD, MANAGER), analytics._seen(PERIOD, MANAGER)
    return {
        "sales totals": sales.totals_query(of_sales),
        "sales over time": sales.over_time_query(of_sales, PERIOD),
        "sales top": sales.top_query(of_sales, products.c.id, products.c.name, limit=10),
        "sales rows": sales.rows_query(of_sales),
        "visits totals": analytics.totals_query(of_visits),
        "visits over time": analytics.over_time_query(of_visits, PERIOD),
        "visits by": analytics.by_query(of_visits, sessions.c.channel),
        "visits rows": analytics.rows_query(of_visits),
    }


@pytest.mark.parametrize("name", list(statements()))
@pytest.mark.parametrize("dialect", [postgresql, sqlite])
def test_every_statement_has_the_scope_and_compiles_for_both_databases(name: str, dialect: Any) -> None:
    compiled = statements()[name].compile(dialect=dialect.dialect())
    assert "regions.id = " in str(compiled)
    assert 1 in compiled.params.values()
    assert PERIOD.begins in compiled.params.values()
    # Nothing of the input stands in the text itself.
    assert "2025" not in str(compiled)


def test_postgresql_truncates_by_its_own_function() -> None:
    compiled = str(FirstDay(Unit.WEEK, orders.c.placed_at).compile(dialect=postgresql.dialect()))
    assert compiled == "CAST(date_trunc('week', orders.placed_at) AS DATE)"


def test_another_database_is_refused_when_a_statement_is_compiled() -> None:
    with pytest.raises(CompileError, match="can't read a mysql database, only SQLite and PostgreSQL"):
        FirstDay(Unit.WEEK, orders.c.placed_at).compile(dialect=mysql.dialect())
