"""`jobyard chaos` on a real server, with real processes that are really killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.workers import list_workers
from jobyard.chaos import ACTOR, QUEUE
from jobyard.chaos.record import Line, analyse, read
from support.processes import spawn
from support.waiting import eventually

Run = Callable[..., Any]
SECOND = 1_000_000_000


# What follows from a record ------------------------------------------------------------------------------------------


def test_a_run_that_was_cut_off_is_recovered_by_the_next_start() -> None:
    lines = [
        Line("worker", "-", 1, 0),
        Line("start", "a", 1, 1 * SECOND),
        Line("start", "a", 2, 4 * SECOND),
        Line("end", "a", 2, 5 * SECOND),
        Line("start", "b", 2, 5 * SECOND),
        Line("end", "b", 2, 6 * SECOND),
    ]
    runs = analyse(lines, {1: 2 * SECOND})
    assert (runs.ended, runs.repeated, runs.twice) == ({"a", "b"}, 1, 0)
    assert (runs.interrupted, runs.recoveries) == (1, (2.0,))


def test_a_job_that_got_to_its_end_twice_is_told() -> None:
    lines = [Line(what, "a", pid, pid * SECOND) for pid in (1, 2) for what in ("start", "end")]
    runs = analyse(lines, {1: 2 * SECOND})
    assert (runs.twice, runs.repeated, runs.interrupted) == (1, 1, 0)


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "record"
    assert read(path) == []
    path.write_text("start a 1 5\nend a")
    assert read(path) == [Line("start", "a", 1, 5)]


# The command ----------------------------------------------------------------------------------------------------------


def _command(broker: JobyardBroker, redis_url: str, *words: str) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "JOBYARD_REDIS_URL": redis_url, "JOBYARD_NAMESPACE": broker.namespace}
    return [sys.executable, "-m", "jobyard.cli", "chaos", *words], environment


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_workers_are_killed_and_nothing_is_lost_nor_left_behind(
    broker: JobyardBroker, redis_url: str, jobyard: Run
) -> None:
    jobyard("enqueue", "add", "--queue", "theirs")
    words, environment = _command(
        broker, redis_url, "--jobs", "150", "--seconds", "6", "--every", "0.7", "--seed", "1", "--threads", "2", "-o", "json",
    )  # fmt: skip
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert (report["sound"], report["jobs"], report["lost"], report["unfinished"]) == (True, 150, [], [])
    assert sum(report["killed"].values()) > 0
    assert broker.inspector.queues() == ["theirs"]
    assert broker.inspector.stats("theirs").waiting == 1
    eventually(lambda: not list_workers(broker), 30, what="its workers are gone")


@pytest.mark.slow
def test_if_it_is_killed_its_workers_end_too(broker: JobyardBroker, redis_url: str) -> None:
    words, environment = _command(broker, redis_url, "--jobs", "5000", "--seconds", "60", "--every", "50")
    process = spawn(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pids = eventually(
            lambda: [int(one.name.rpartition("/")[2]) for one in list_workers(broker) if one.running],
            60,
            what="they run",
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    def gone(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    eventually(lambda: all(gone(pid) for pid in pids), 30, what="its workers are gone")


def test_where_a_run_is_under_way_another_one_is_refused(jobyard: Run, broker: JobyardBroker) -> None:
    jobyard("enqueue", ACTOR, "--queue", QUEUE, "--args", "[0.1]")
    said = jobyard("chaos", "--seconds", "1")
    assert (said.status, "another run is under way" in said.err) == (1, True)
    assert broker.inspector.stats(QUEUE).waiting == 1
