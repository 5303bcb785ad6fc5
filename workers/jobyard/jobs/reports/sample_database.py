"""The SQLite file with sample data: there is exactly one, complete, however many processes ask for it at once."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from jobyard.errors import PermanentError
from jobyard.jobs.reports.sample_data import VERSION, fill


def ensure(path: Path) -> Path:
    """The absolute path of the sample database; it is made if it isn't there, or was made by another version.

    Takes one to three seconds the first time. Others who ask meanwhile wait for it.

    Raises:
        PermanentError: it can't be written there.
    """
    path = path.absolute()
    if _is_current(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The kernel frees the lock when its holder dies, so that a killed worker leaves nothing that others wait for.
        with path.with_name(path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_current(path):
                _make(path)
    except (OSError, sqlite3.OperationalError) as error:
        raise PermanentError(
            f"can't make the sample database {path}: {error}. Set JOBYARD_REPORTS_SAMPLE_DATABASE to a file in a folder "
            "that can be written, or JOBYARD_REPORTS_DATABASE_URL to a database of your own"
        ) from error
    return path


def _is_current(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA user_version").fetchone() == (VERSION,))
    except sqlite3.DatabaseError:
        return False


def _make(path: Path) -> None:
    """Fill a new file beside it and put that in its place, so that nobody ever opens a half-filled one."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as connection:
        # Nothing to protect: if this process dies, the next one starts afresh.
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        fill(connection)
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    unfinished.replace(path)
