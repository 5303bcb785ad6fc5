"""The simulation under bench/scaling: the same seeds give the same numbers, and our rule ends no running job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[3] / "bench" / "scaling" / "run"


def simulated(first: int) -> str:
    command = [sys.executable, str(PROGRAM), str(first), "1"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    assert simulated(3) == simulated(3) != simulated(4)


def test_our_rule_ends_no_running_job_and_leaves_none() -> None:
    rows = [line.split("|") for line in simulated(5).splitlines() if line.startswith("| Jobyard")]
    assert len(rows) == 8
    for row in rows:
        killed, unfinished = row[6].strip(), row[7].strip()
        assert (killed, unfinished) == ("0", "0"), row
