"""The verdict of `jobyard chaos`."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from jobyard.chaos.record import Runs


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        jobs: how many Redis had accepted.
        lost: ids of accepted jobs that are nowhere.
        unfinished: ids of jobs that were there, but had not completed in time.
        unrun: jobs that Redis calls completed, though none of their runs got to its end.
        ledger: what the queue's own ledger misses: accepted jobs that are nowhere, and envelopes of no job.
        resent: calls that were made again, since Redis did not answer.
        killed_processes, killed_workers: single processes, and whole workers with their supervisors.
    """

    jobs: int
    seconds: float
    killed_processes: int
    killed_workers: int
    resent: int
    lost: tuple[str, ...]
    unfinished: tuple[str, ...]
    unrun: tuple[str, ...]
    ledger_lost: int
    ledger_orphaned: int
    runs: Runs

    @property
    def sound(self) -> bool:
        """Whether nothing was lost, as far as can be told."""
        return not (self.lost or self.unrun or self.ledger_lost or self.ledger_orphaned)

    def values(self) -> dict[str, Any]:
        """As `-o json` shows it."""
        found = self.runs.recoveries
        return {
            "sound": self.sound,
            "jobs": self.jobs,
            "seconds": round(self.seconds, 1),
            "killed": {"processes": self.killed_processes, "workers": self.killed_workers},
            "lost": list(self.lost),
            "unfinished": list(self.unfinished),
            "completed_without_an_end": list(self.unrun),
            "ledger": {"lost": self.ledger_lost, "orphaned": self.ledger_orphaned},
            "calls_made_again": self.resent,
            "interrupted_runs": self.runs.interrupted,
            "jobs_started_again": self.runs.repeated,
            "jobs_ended_twice": self.runs.twice,
            "recovery_seconds": {
                "median": round(statistics.median(found), 3) if found else None,
                "longest": round(found[-1], 3) if found else None,
            },
        }
