"""What the jobs of one measurement have written: files in a folder in memory, see `work.py`.

done      one byte for each job that has run
stamp     a line for each: nanoseconds from sending to start
crash     "S number time" and "E number time" (ns): starts and ends
arrived   the process ids of the workers that wait at the gate
gate      is there once the clock runs
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Self

_MEMORY = Path("/dev/shm")


class Marks:
    """Use it with `with`; the folder goes away at the end."""

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None, prefix="bench-"))
        for name in ("done", "stamp", "crash", "arrived"):
            (self.folder / name).touch()
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def done(self) -> int:
        return (self.folder / "done").stat().st_size

    @property
    def last_done(self) -> float:
        """When the last job ended, in seconds since the epoch."""
        return (self.folder / "done").stat().st_mtime

    @property
    def arrived(self) -> int:
        """How many processes wait at the gate."""
        return len(set((self.folder / "arrived").read_text().split()))

    def open_gate(self) -> None:
        (self.folder / "gate").touch()

    def stamps(self) -> list[float]:
        """Milliseconds, in the order of arrival."""
        return [int(line) / 1e6 for line in (self.folder / "stamp").read_text().split()]

    def crashes(self) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
        """By the job's number: the times (seconds) at which it started, and at which it ended."""
        starts: dict[int, list[float]] = {}
        ends: dict[int, list[float]] = {}
        for line in (self.folder / "crash").read_text().splitlines():
            what, number, at = line.split()
            (starts if what == "S" else ends).setdefault(int(number), []).append(int(at) / 1e9)
        return starts, ends
