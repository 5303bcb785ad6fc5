"""The sample database: made once, whole, the same everywhere, however many processes want it."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobyard import PermanentError
from jobyard.jobs.reports import sample_data, sample_database


def content(path: Path) -> str:
    """A digest of all rows."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(path)) as connection:
        for line in connection.iterdump():
            digest.update(line.encode())
    return digest.hexdigest()


def made_by(path: Path) -> tuple[int, int]:
    """Make the database unless it is there: the file's inode and how many orders it has."""
    made = sample_database.ensure(path)
    with closing(sqlite3.connect(made)) as connection:
        (orders,) = connection.execute("SELECT count(*) FROM orders").fetchone()
    return made.stat().st_ino, int(orders)


def test_processes_that_start_at_once_share_one_complete_database(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "reports.db"
    program = (
        "import pathlib, sqlite3, sys\n"
        "from jobyard.jobs.reports import sample_database\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "made = sample_database.ensure(pathlib.Path(sys.argv[1]))\n"
        "count = 'SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM sessions)'\n"
        "print(made.stat().st_ino, *sqlite3.connect(made).execute(count).fetchone())\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    answers = set()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        answers.add(process.communicate()[0])
        assert process.returncode == 0
    assert len(answers) == 1
    assert sorted(file.name for file in path.parent.iterdir()) == ["reports.db", "reports.db.lock"]


def test_the_data_is_the_same_wherever_it_is_made(tmp_path: Path, sample_file: Path) -> None:
    assert content(sample_database.ensure(tmp_path / "again.db")) == content(sample_file)


def test_a_complete_database_is_left_alone(sample_file: Path) -> None:
    before = sample_file.stat()
    sample_database.ensure(sample_file)
    after = sample_file.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("damage", ["of another version", "cut off", "no database"])
def test_what_is_no_complete_database_is_replaced(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "reports.db"
    match damage:
        case "of another version":
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(f"PRAGMA user_version = {sample_data.VERSION + 1}")
        case "cut off":
            path.touch()
        case "no database":
            path.write_text("x" * 4096)
    assert made_by(path)[1] > 40_000


def test_a_process_killed_while_making_it_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "reports.db"
    # It stops itself where the tables are there but not all rows: no luck with timing is needed.
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, signal, pathlib, sys\n"
            "from jobyard.jobs.reports import sample_data, sample_database\n"
            "sample_data._sessions = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\n"
            "sample_database.ensure(pathlib.Path(sys.argv[1]))\n",
            str(path),
        ],
        check=False,
        env=os.environ,
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "reports.db.unfinished").exists()
    assert not path.exists()
    assert made_by(path)[1] > 40_000
    assert not (tmp_path / "reports.db.unfinished").exists()


def test_a_folder_that_cannot_be_written_is_named_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermanentError, match="JOBYARD_REPORTS_SAMPLE_DATABASE") as refused:
        sample_database.ensure(tmp_path / "file" / "reports.db")
    assert str(tmp_path / "file" / "reports.db") in str(refused.value)


def test_it_looks_like_a_business(ask: Callable[..., list[Any]]) -> None:
    assert ask("SELECT min(date(placed_at)), max(date(placed_at)) FROM orders") == [("2024-01-01", "2025-12-31")]
    assert 45_000 < ask("SELECT count(*) FROM orders")[0] < 60_000
    first, second = ask("SELECT sum(total) FROM orders WHERE status = 'paid' GROUP BY strftime('%Y', placed_at)")
    assert first < second < 2 * first
    # Every order on the web is the end of a visit of that customer.
    assert ask("SELECT count(*) FROM orders WHERE channel = 'web'") == ask(
        "SELECT count(*) FROM sessions s JOIN orders o ON o.placed_at = s.started_at AND o.customer_id = s.visitor_id "
        "WHERE s.furthest_step = 4 AND o.channel = 'web'"
    )
    assert ask("PRAGMA foreign_key_check") == []
