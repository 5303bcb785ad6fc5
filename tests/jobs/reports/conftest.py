"""What the tests of reports share: the sample database, a database of one's own, storage, and a job to run in."""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from sqlalchemy import create_engine

from jobyard import context
from jobyard.jobs.reports import generate_report, sample_database
from jobyard.jobs.reports.tables import metadata
from jobyard.jobs.storage import get_storage

YEAR = {"start": "2025-01-01", "end": "2025-12-31"}


@pytest.fixture(scope="session")
def sample_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample database, made once; under pytest-xdist all test processes share it."""
    base = tmp_path_factory.getbasetemp()
    return sample_database.ensure((base.parent if base.name.startswith("popen-") else base) / "reports.db")


@pytest.fixture
def storage_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "storage"
    monkeypatch.setenv("JOBYARD_STORAGE_URL", str(folder))
    get_storage.cache_clear()
    yield folder
    get_storage.cache_clear()


@dataclass
class Made:
    """A report that was made: the job's result and the file."""

    result: dict[str, Any]
    path: Path

    def rows(self) -> list[dict[str, str]]:
        """The rows of a CSV file."""
        with self.path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


Make = Callable[..., Made]


@pytest.fixture
def make(sample_file: Path, storage_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Run the job here: make("sales", "csv", user_id=3, date_range={…})."""
    for name in [name for name in os.environ if name.startswith("JOBYARD_REPORTS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JOBYARD_REPORTS_SAMPLE_DATABASE", str(sample_file))

    def run(report_type: str, to: str, **fields: Any) -> Made:
        asked = {"date_range": YEAR, "user_id": "1", **fields}
        result = generate_report(report_type=report_type, format=to, **asked)
        path = Path(unquote(urlsplit(result["url"]).path))
        assert path == storage_folder / result["object"]
        return Made(result, path)

    return run


@pytest.fixture
def ask(sample_file: Path) -> Callable[..., list[Any]]:
    """Plain SQL on the sample database, to compare with: rows of one column as values, others as tuples."""

    def query(sql: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(sample_file)) as connection:
            rows = connection.execute(sql, values).fetchall()
        return [row[0] for row in rows] if rows and len(rows[0]) == 1 else rows

    return query


BASE: dict[str, list[tuple[Any, ...]]] = {
    "regions": [(1, "North"), (2, "South")],
    "users": [
        ("1", "Ada", "admin", None, 1),
        ("2", "Max", "manager", 1, 1),
        ("3", "Eve", "guest", None, 1),
        ("4", "Old", "admin", None, 0),
        ("5", "Lost", "manager", None, 1),
    ],
    "products": [(1, "Tent", "Tents")],
    "customers": [(1, "Nora", 1), (2, "Sam", 2)],
    "orders": [],
    "sessions": [],
}


@pytest.fixture
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a small database with these rows in place of the usual ones, and let reports read it."""

    def create(**tables: list[tuple[Any, ...]]) -> Path:
        path = tmp_path / "own.db"
        engine = create_engine(f"sqlite:///{path}")
        metadata.create_all(engine)
        engine.dispose()
        with closing(sqlite3.connect(path)) as connection:
            for name, rows in {**BASE, **tables}.items():
                for row in rows:
                    connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
            connection.commit()
        monkeypatch.setenv("JOBYARD_REPORTS_DATABASE_URL", f"sqlite:///{path}")
        return path

    return create


@dataclass
class Job:
    """A running job, as the worker would give it to the context."""

    id: str = "0b56a7c2-job"
    queue: str = "reports"
    actor: str = "generate_report"
    attempt: int = 1
    cancelled: bool = False
    progress: list[tuple[float, str, dict[str, float]]] = field(default_factory=list)
    on_progress: Callable[[Job], None] = lambda job: None

    def report_progress(self, percent: float, message: str, counts: dict[str, float]) -> None:
        self.progress.append((percent, message, counts))
        self.on_progress(self)


@pytest.fixture
def inside_job() -> Callable[[Job], Any]:
    @contextmanager
    def enter(job: Job) -> Iterator[Job]:
        token = context.enter(job)
        try:
            yield job
        finally:
            context.leave(token)

    return enter
