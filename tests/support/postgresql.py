"""A PostgreSQL server of a test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.processes import free_port


def programs() -> Path | None:
    """The folder of PostgreSQL's programs. Debian keeps them off the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextmanager
def postgresql() -> Iterator[str]:
    """Its URL. The default time zone is far from UTC. Skips the test where PostgreSQL is not installed."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # Not under pytest's folders, which only their owner may enter: PostgreSQL refuses to run as root.
    folder = Path(subprocess.check_output(["mktemp", "-d", "-t", "jobyard-postgresql-XXXXXX"], text=True).strip())
    run: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.geteuid() == 0:
        run |= {"user": "nobody", "group": "nogroup", "extra_groups": [], "cwd": "/"}
        shutil.chown(folder, "nobody", "nogroup")
    port = free_port()
    data = folder / "data"
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c timezone=Asia/Tokyo -c fsync=off -k {folder}"
    try:
        subprocess.run([found / "initdb", "-D", data, "-A", "trust", "-U", "jobyard", "-E", "UTF8"], **run)
        subprocess.run([found / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start"], **run)
        try:
            yield f"postgresql://jobyard@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([found / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], **run)
    finally:
        shutil.rmtree(folder)
