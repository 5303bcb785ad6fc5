"""The same report from PostgreSQL as from SQLite. Left out where PostgreSQL or psycopg is not installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from jobyard.jobs.reports.tables import metadata
from support.postgresql import postgresql

from .conftest import Make

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")

WEEKS = {"start": "2025-03-01", "end": "2025-05-31"}


@pytest.fixture(scope="module", params=["timestamp", "timestamptz"])
def url(request: pytest.FixtureRequest, sample_file: Path) -> Iterator[str]:
    """A server of our own with a part of the sample data; its default time zone is far from UTC."""
    with postgresql() as url:
        fill(url, sample_file, request.param)
        yield url


def fill(url: str, sample_file: Path, time_type: str) -> None:
    source = create_engine(f"sqlite:///{sample_file}", poolclass=NullPool)
    target = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    metadata.create_all(target)
    with source.connect() as reader, target.begin() as writer:
        writer.execute(text("SET TIME ZONE 'UTC'"))
        for table in metadata.sorted_tables:
            rows = table.select()
            for name in ("placed_at", "started_at"):
                if name in table.columns:
                    rows = rows.where(table.columns[name] >= "2025-02-20", table.columns[name] < "2025-06-10")
                    kind = f"ALTER TABLE {table.name} ALTER {name} TYPE {time_type}"
                    writer.execute(text(kind))
            writer.execute(table.insert(), [dict(row._mapping) for row in reader.execute(rows)])


@pytest.mark.parametrize("user_id", ["1", "4"])
@pytest.mark.parametrize("to", ["csv", "html"])
@pytest.mark.parametrize("report_type", ["sales", "analytics"])
def test_postgresql_gives_the_same_report_as_sqlite(
    report_type: str, to: str, user_id: str, url: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def content() -> str:
        page = make(report_type, to, user_id=user_id, date_range=WEEKS).path.read_text(encoding="utf-8")
        # When it was made, and the period before, of which PostgreSQL has only a part here.
        page = re.sub(r"Made [^<]*", "", page)
        return re.sub(r'<div class="change.*', "", page)

    expected = content()
    monkeypatch.setenv("JOBYARD_REPORTS_DATABASE_URL", url)
    assert content() == expected
