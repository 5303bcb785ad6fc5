"""Reads what the jobs wrote down, and finds the runs that nothing explains."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Run:
    """One run of a job: nanoseconds of the machine's monotonic clock; `ended` is None where it was cut off."""

    pid: int
    started: int
    ended: int | None = None


@dataclass
class Record:
    """All runs, by job number."""

    runs: dict[int, list[Run]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def read(cls, path: Path) -> Record:
        record = cls()
        for line in path.read_text().splitlines():
            what, number, pid, at = line.split()
            runs = record.runs[int(number)]
            if what == "start":
                runs.append(Run(int(pid), int(at)))
            else:
                next(run for run in reversed(runs) if run.pid == int(pid)).ended = int(at)
        return record

    def ended(self) -> set[int]:
        """Jobs that came to their end at least once."""
        return {number for number, runs in self.runs.items() if any(run.ended for run in runs)}

    def repeated(self) -> dict[int, list[Run]]:
        """Jobs that came to their end more than once."""
        return {n: runs for n, runs in self.runs.items() if sum(run.ended is not None for run in runs) > 1}
