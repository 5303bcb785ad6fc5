"""How long reports take, how large they are and how much memory they need: python bench/reports.py

Each report is made in a process of its own, whose peak memory is read from the kernel (Linux). The last lines show that
memory doesn't grow with the number of rows, on a database ten times as large as the sample.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

ONE_YEAR = ("2025-01-01", "2025-12-31")
ALL = ("2024-01-01", "2025-12-31")

# The first report warms up what is loaded on first use, which a worker process does once, not for every job.
REPORT = """
import json, re, sys, time
from pathlib import Path
from jobyard.jobs.reports import generate_report
asked = json.loads(sys.argv[1])
generate_report(**{**asked, "date_range": {"start": "2024-01-01", "end": "2024-01-02"}})
start = time.perf_counter()
result = generate_report(**asked)
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps({**result, "seconds": time.perf_counter() - start, "peak": int(peak[1]) / 1024}))
"""


def measure(folder: Path, database: Path, report_type: str, to: str, days: tuple[str, str]) -> dict[str, Any]:
    """Make one report; the job's result with `seconds` and `peak` (MiB)."""
    asked = {
        "report_type": report_type,
        "format": to,
        "user_id": "1",
        "date_range": {"start": days[0], "end": days[1]},
    }
    environment = {
        **os.environ,
        "JOBYARD_REPORTS_DATABASE_URL": f"sqlite:///{database}",
        "JOBYARD_STORAGE_URL": str(folder / "storage"),
    }
    done = subprocess.run(
        [sys.executable, "-c", REPORT, json.dumps(asked)], env=environment, check=True, stdout=subprocess.PIPE
    )
    return dict(json.loads(done.stdout))


def enlarge(database: Path, times: int) -> Path:
    """A copy of the database with so many times the sessions."""
    large = database.with_name("large.db")
    large.write_bytes(database.read_bytes())
    with closing(sqlite3.connect(large)) as connection:
        connection.execute("CREATE TEMP TABLE once AS SELECT * FROM sessions")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(sessions)")][1:]
        for number in range(1, times):
            connection.execute(
                f"INSERT INTO sessions SELECT id + {number * 10_000_000}, {', '.join(columns)} FROM once"
            )
        connection.commit()
    return large


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--times", type=int, default=10, help="how much larger the large database is (default 10)")
    times = options.parse_args().times

    from jobyard.jobs.reports import sample_database

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        database = sample_database.ensure(folder / "reports.db")
        made = time.perf_counter() - start
        print(f"sample database: {made:.2f} s, {database.stat().st_size / 1e6:.1f} MB\n")
        print("| report | format | rows | seconds | rows/s | file | peak memory |")
        print("|---|---|---:|---:|---:|---:|---:|")
        small = [
            (database, kind, to, ONE_YEAR) for kind in ("sales", "analytics") for to in ("csv", "xlsx", "html", "pdf")
        ]
        large = enlarge(database, times)
        many = [
            (database, "analytics", "csv", ALL),
            (large, "analytics", "csv", ALL),
            (large, "analytics", "xlsx", ("2025-01-01", "2025-06-30")),
        ]
        for source, kind, to, days in [*small, *many]:
            result = measure(folder, source, kind, to, days)
            rate = f"{result['rows'] / result['seconds']:,.0f}"
            print(
                f"| {kind} | {to} | {result['rows']:,} | {result['seconds']:.2f} | {rate} "
                f"| {result['bytes'] / 1e6:.2f} MB | {result['peak']:.0f} MiB |"
            )


if __name__ == "__main__":
    main()
