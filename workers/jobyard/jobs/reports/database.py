"""The connection to the database that reports read: which one, read-only, and one snapshot for a whole report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from jobyard.errors import PermanentError
from jobyard.jobs.reports import sample_database
from jobyard.jobs.reports.settings import ReportsSettings
from jobyard.jobs.reports.tables import metadata

_SETTING: Final = "JOBYARD_REPORTS_DATABASE_URL"
_CONNECT_SECONDS: Final = 10
_DRIVERS: Final = ("postgresql+psycopg", "postgresql+psycopg2")


@contextmanager
def snapshot(settings: ReportsSettings) -> Iterator[Connection]:
    """A read-only connection in one transaction, in which every query sees the database as it was at the first one.

    Raises:
        PermanentError: the setting can't work: a URL that is none, a missing driver, file, table or column.
        sqlalchemy.exc.OperationalError: the server can't be reached now, which is worth another attempt.
    """
    # No pool: a report takes seconds, so a new connection costs little, and nothing is shared when a process forks.
    engine = _engine(settings)
    try:
        with engine.connect() as connection:
            _check_tables(connection)
            yield connection
    finally:
        engine.dispose()


def _engine(settings: ReportsSettings) -> Engine:
    if settings.database_url is None:
        url = URL.create("sqlite", database=str(sample_database.ensure(settings.sample_database)))
    else:
        url = database_url(settings.database_url.get_secret_value())
    # hide_parameters: an error of the database must not carry a user's data into the logs.
    options: dict[str, Any] = {"poolclass": NullPool, "hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, **options)
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begins)
        return engine
    url = url.update_query_dict({"connect_timeout": url.query.get("connect_timeout", str(_CONNECT_SECONDS))})
    try:
        engine = create_engine(url, **options)
    except ModuleNotFoundError as error:
        raise PermanentError(
            f"{_SETTING} names the driver {url.get_driver_name()!r}, which is not installed ({error}); "
            "install one with: pip install 'psycopg[binary]' and use postgresql://…"
        ) from None
    event.listen(engine, "connect", _postgresql_connected)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def database_url(text: str) -> URL:
    """The URL of the setting, with psycopg 3 as the driver for PostgreSQL unless it names another.

    Raises:
        PermanentError: it is not a URL of SQLite or PostgreSQL. The message never contains the URL, nor its password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # "from None": the cause quotes the URL.
        raise PermanentError(
            f"{_SETTING} is not a database URL, such as postgresql://user:password@host/name"
        ) from None
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername=_DRIVERS[0])
    if url.drivername not in (*_DRIVERS, "sqlite", "sqlite+pysqlite"):
        raise PermanentError(
            f"{_SETTING} names {url.drivername!r}; reports read sqlite and postgresql (with psycopg or psycopg2)"
        )
    # SQLite would make a missing file, and then say that there are no tables.
    if url.get_backend_name() == "sqlite" and not _sqlite_file_exists(url):
        raise PermanentError(f"{_SETTING}: there is no file {url.database!r}")
    return url


def _sqlite_file_exists(url: URL) -> bool:
    database = url.database or ""
    return database.startswith("file:") or Path(database).is_file()


def _sqlite_connected(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA busy_timeout = 10000")
    # Otherwise Python's driver begins a transaction only before a write, and every query would see a newer state.
    connection.isolation_level = None


def _sqlite_begins(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _postgresql_connected(connection: Any, _record: Any) -> None:
    # Days are days in UTC, also where a column is a timestamp with time zone.
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TIME ZONE 'UTC'")
    connection.commit()


def _check_tables(connection: Connection) -> None:
    """Say everything that is missing at once, rather than let the first query fail with the database's own words."""
    there = inspect(connection)
    names = {*there.get_table_names(), *there.get_view_names()}
    missing = []
    for table in metadata.sorted_tables:
        if table.name not in names:
            missing.append(f"table {table.name}")
            continue
        columns = {column["name"] for column in there.get_columns(table.name)}
        missing += [f"column {table.name}.{column.name}" for column in table.columns if column.name not in columns]
    if missing:
        raise PermanentError(
            f"the database of {_SETTING} lacks what reports read: {', '.join(missing)}. "
            "Tables or views of these names must exist; docs/jobs/reports.md lists their columns"
        )
