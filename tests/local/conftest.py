"""`jobyard up` as a process of its own, in a directory of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from jobyard.broker import JobyardBroker
from support.processes import end, spawn
from support.waiting import eventually

#: Far more than it takes, for a machine that is busy with other tests.
PATIENCE: Final = 90.0


class Up:
    """One `jobyard up`.

    Args:
        directory: where it is called.
        arguments: its own, beside a port that is free.
    """

    def __init__(self, directory: Path, *arguments: str, number: int = 0) -> None:
        self.directory = directory
        self._log = directory / f"up-{number}.log"
        variables = {name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")}
        with self._log.open("wb") as output:
            self.process: subprocess.Popen[bytes] = spawn(
                [sys.executable, "-m", "jobyard.cli", "up", "--port", "0", *arguments],
                cwd=directory,
                env={**variables, "PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=output,
            )

    @property
    def said(self) -> str:
        """Everything that it has written."""
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until it has said this."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.said, re.MULTILINE)
            assert found or self.process.poll() is None, f"it has ended without saying {pattern!r}:\n{self.said}"
            return found

        found = eventually(look, PATIENCE, what=f"it says {pattern!r}")
        assert found is not None
        return found

    def wait(self) -> int:
        """Wait until it ends. Returns its exit status."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.said}") from None

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def broker(self) -> JobyardBroker:
        """A broker on its Valkey, as the file with its environment says. Close it."""
        url = re.search(r"^JOBYARD_REDIS_URL='(.*)'$", (self.directory / ".jobyard/env").read_text(), re.MULTILINE)
        assert url is not None
        return JobyardBroker(url[1], patience=10)

    def children(self) -> list[int]:
        """The ids of all processes that descend from it."""
        return _descendants(self.process.pid)


def _descendants(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            child = int(stat.parent.name)
            found += [child, *_descendants(child)]
    return found


def is_alive(pid: int) -> bool:
    """Whether there is such a process, zombies apart."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def start_up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts `jobyard up` in the test's directory: `start_up("--once")`."""
    started: list[Up] = []

    def start(*arguments: str) -> Up:
        started.append(Up(tmp_path, *arguments, number=len(started)))
        return started[-1]

    yield start
    for one in started:
        end(one.process, timeout=30)
