"""The same report from PostgreSQL as from SQLite. Left out where PostgreSQL or psycopg is not installed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from jobyard.jobs.reports.tables import metadata

from .conftest import Make

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")

WEEKS = {"start": "2025-03-01", "end": "2025-05-31"}


def programs() -> Path | None:
    """The folder of PostgreSQL's programs. Debian keeps them off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@pytest.fixture(scope="module", params=["timestamp", "timestamptz"])
def url(request: pytest.FixtureRequest, sample_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of our own with a part of the sample data; its default time zone is far from UTC."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    folder = tmp_path_factory.mktemp("postgresql")
    run: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.geteuid() == 0:  # as which PostgreSQL refuses to run
        run |= {"user": "nobody", "group": "nogroup", "extra_groups": [], "cwd": "/"}
        # Under pytest's folders, which only their owner may enter, "nobody" could not reach it.
        folder = Path(subprocess.check_output(["mktemp", "-d", "-t", "jobyard-postgresql-XXXXXX"], text=True).strip())
        shutil.chown(folder, "nobody", "nogroup")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c timezone=Asia/Tokyo -c fsync=off -k {folder}"
    try:
        subprocess.run([found / "initdb", "-D", data, "-A", "trust", "-U", "jobyard", "-E", "UTF8"], **run)
        subprocess.run([found / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start"], **run)
        try:
            url = f"postgresql://jobyard@127.0.0.1:{port}/postgres"
            fill(url, sample_file, request.param)
            yield url
        finally:
            subprocess.run([found / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], **run)
    finally:
        shutil.rmtree(folder)


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
