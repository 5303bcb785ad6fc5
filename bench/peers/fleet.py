"""The processes of one system under test: its workers, and the one that sends it jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from catalogue import Variant
from marks import Marks
from server import Server

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "bench-peers"


class WorkersDiedError(Exception):
    """They ended by themselves, or never came up; carries the end of what they printed."""


class Fleet:
    """The workers of a variant, and whoever sends jobs to it. Use it with `with`: at its end they are killed."""

    def __init__(self, variant: Variant, server: Server, marks: Marks) -> None:
        self.variant = variant
        self._log = marks.folder / "log"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            **variant.environment,
            "BENCH_URL": server.url,
            "BENCH_MARKS": str(marks.folder),
            "BENCH_TUNED": "1" if variant.tuned else "0",
            "JOBYARD_REDIS_URL": server.url,
            "NODE_PATH": str(CACHE / "node_modules"),
            "PYTHONPATH": str(HERE),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the workers."""
        for command in self.variant.workers:
            with self._log.open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [str(self._program(command[0])), *(part.format(port=self._port()) for part in command[1:])],
                        cwd=HERE,
                        env=self._environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )

    def kill(self) -> None:
        """SIGKILL, to every process of the workers' sessions."""
        sessions = {process.pid for process in self._processes}
        for process in self._processes:
            process.poll()
        for pid in _pids_of(sessions):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # It went by itself, when its parent did.
        for process in self._processes:
            process.wait()
        self._processes.clear()

    def check(self) -> None:
        """
        Raises:
            WorkersDiedError: one of the workers has ended.
        """
        if any(process.poll() is not None for process in self._processes):
            raise WorkersDiedError(self._log.read_text(errors="replace")[-2000:])

    def fill(self, kind: str, single: int, bulk: int) -> dict[str, float | None]:
        """Send jobs: one by one, and many at a time. Returns the seconds that each took."""
        return dict(json.loads(self._produce("fill", kind, single, bulk)))

    def pace(self, rate: float, count: int) -> None:
        """Send `stamp` jobs at a steady rate."""
        self._produce("pace", rate, count)

    def _produce(self, *arguments: Any) -> bytes:
        head: list[str | Path] = [self._program(self.variant.interpreter)]
        if self.variant.interpreter == "node":
            head += ["systems/bullmq.js"]
        else:
            head += ["produce.py", self.variant.system]
        done = subprocess.run(
            [*head, *map(str, arguments)],
            cwd=HERE,
            env=self._environment,
            capture_output=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            raise WorkersDiedError(f"the producer: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout.strip().rpartition(b"\n")[2]

    def _program(self, name: str) -> str | Path:
        if name == "node":
            return name
        if self.variant.venv is None:
            return Path(sys.executable).parent / name
        return CACHE / self.variant.venv / "bin" / name

    def _port(self) -> str:
        return self._environment["BENCH_URL"].rpartition(":")[2].partition("/")[0]


def wait(until: Any, fleet: Fleet, seconds: float, what: str, pause: float = 0.005) -> None:
    """Wait for a condition.

    Raises:
        WorkersDiedError: it can't become true any more.
        TimeoutError: it didn't.
    """
    deadline = time.monotonic() + seconds
    while not until():
        fleet.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)


def _pids_of(sessions: set[int]) -> list[int]:
    """All processes of these sessions, by what the kernel says (field 6 of /proc/PID/stat)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It has just ended.
        if int(fields[3]) in sessions:
            found.append(int(path.parent.name))
    return found
