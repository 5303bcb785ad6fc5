"""What the jobs have written down, and what follows from it. Pure, but for reading the file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """`start` or `end` of a job in a process, or a `worker` process that is there. The time is in nanoseconds."""

    what: str
    job_id: str
    pid: int
    at: int


@dataclass(frozen=True, slots=True)
class Runs:
    """What became of the jobs.

    Attributes:
        repeated: jobs that were started more than once.
        twice: jobs that got to their end more than once: killed after their end, before Redis knew.
        interrupted: runs that a kill cut off.
        recoveries: seconds from each of these kills to the job's next start, ascending.
    """

    ended: frozenset[str]
    repeated: int
    twice: int
    interrupted: int
    recoveries: tuple[float, ...]


def read(path: Path) -> list[Line]:
    """All whole lines of the file; none where it isn't there yet."""
    if not path.exists():
        return []
    found = []
    for text in path.read_text().splitlines():
        words = text.split()
        if len(words) == 4:
            found.append(Line(words[0], words[1], int(words[2]), int(words[3])))
    return found


def analyse(lines: Iterable[Line], kills: Mapping[int, int]) -> Runs:
    """What became of the jobs.

    Args:
        kills: process → when it was killed, in nanoseconds of the same clock.
    """
    by_job: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.what in ("start", "end"):
            by_job[line.job_id].append(line)
    repeated = twice = interrupted = 0
    recoveries: list[float] = []
    ended: set[str] = set()
    for job_id, history in by_job.items():
        history.sort(key=lambda line: line.at)
        starts = [line for line in history if line.what == "start"]
        ends = [line for line in history if line.what == "end"]
        repeated += len(starts) > 1
        twice += len(ends) > 1
        if ends:
            ended.add(job_id)
        for number, start in enumerate(starts):
            later = starts[number + 1 :]
            done = any(end.pid == start.pid and end.at >= start.at for end in ends)
            if not done and start.pid in kills:
                interrupted += 1
                if later:
                    recoveries.append((later[0].at - kills[start.pid]) / 1e9)
    return Runs(frozenset(ended), repeated, twice, interrupted, tuple(sorted(recoveries)))
