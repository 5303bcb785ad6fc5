"""Stopping: in order, at once, and when something is stuck."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.workers import list_workers
from support.waiting import eventually
from worker.process import WorkerProcess, alive

Start = Callable[..., WorkerProcess]
Send = Callable[..., str]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_finishes_what_runs_and_leaves_the_rest(
    start: Start, send: Send, producer: JobyardBroker, number: signal.Signals
) -> None:
    worker = start("app", "--processes", "1", "--threads", "1").ready()
    running = send("hold", "held", 60)
    eventually(worker.runs)
    waiting = send("quick", "behind")
    worker.tell(number)
    eventually(lambda: worker.get("/readyz") == (503, "stopping\n"))
    assert worker.get("/livez")[0] == 200
    (listed,) = eventually(lambda: [one for one in list_workers(producer) if one.draining])
    assert (listed.state, listed.running) == ("draining", [running])
    worker.release("held")
    assert worker.wait() == 0
    assert worker.names() == {"held": 1, "held-end": 1}
    states = {job.id: (job.state, job.attempts) for job in producer.inspector.jobs_by_id("work", [running, waiting])}
    assert states == {running: ("completed", 1), waiting: ("waiting", 0)}
    assert list_workers(producer) == []


def test_what_still_runs_when_the_grace_time_ends_goes_back_to_its_place_and_the_attempt_doesnt_count(
    start: Start, send: Send, producer: JobyardBroker
) -> None:
    worker = start("app", "--processes", "1", "--threads", "1", "--grace", "0.5").ready()
    running = send("hold", "held", 60)
    eventually(worker.runs)
    behind = send("quick", "behind")
    begun = time.monotonic()
    assert worker.stop() == 0
    assert 0.5 <= time.monotonic() - begun < 10
    jobs = producer.inspector.jobs("work", "waiting")
    assert [(job.id, job.attempts) for job in jobs] == [(running, 0), (behind, 0)]
    assert jobs[0].errors == []


def test_a_second_signal_gives_back_at_once(start: Start, send: Send, producer: JobyardBroker) -> None:
    worker = start("app", "--processes", "2", "--threads", "2").ready()
    running = send("hold", "held", 60)
    eventually(worker.runs)
    worker.tell(signal.SIGTERM)
    eventually(lambda: worker.get("/readyz")[1] == "stopping\n")
    begun = time.monotonic()
    assert worker.stop(signal.SIGINT) == 0
    assert time.monotonic() - begun < 10
    job = producer.inspector.job(running, queue="work")
    assert job is not None
    assert (job.state, job.attempts) == ("waiting", 0)


def test_a_process_that_cant_be_told_is_killed_in_the_end_and_its_job_goes_back_without_an_attempt(
    start: Start, send: Send, producer: JobyardBroker
) -> None:
    worker = start("app", "--processes", "1", "--threads", "1", "--grace", "0.5").ready()
    stuck = send("seize", "seized", 60)
    eventually(worker.runs)
    begun = time.monotonic()
    assert worker.stop() == 1
    # Long before the lease ends: an undertaker has done it.
    assert time.monotonic() - begun < 12
    job = producer.inspector.job(stuck, queue="work")
    assert job is not None
    assert (job.state, job.attempts) == ("waiting", 0)


def test_a_process_that_crashes_while_it_drains_is_told_by_the_exit_status_and_its_job_goes_back(
    start: Start, send: Send, producer: JobyardBroker
) -> None:
    worker = start("app", "--processes", "1", "--threads", "1").ready()
    running = send("hold", "held", 60)
    (run,) = eventually(worker.runs)
    worker.tell(signal.SIGTERM)
    eventually(lambda: worker.get("/readyz")[1] == "stopping\n")
    os.kill(run.pid, signal.SIGKILL)
    assert worker.wait() == 1
    job = producer.inspector.job(running, queue="work")
    assert job is not None
    assert (job.state, job.attempts) == ("waiting", 1)
    assert job.errors[0]["error"] == "WorkerDied"


def test_a_worker_that_has_just_been_started_stops_at_once(start: Start) -> None:
    worker = start("app", "--processes", "2")
    eventually(lambda: worker.get("/livez")[0] == 200)
    begun = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - begun < 10


def test_a_process_that_somebody_else_tells_to_stop_drains_and_is_replaced(
    start: Start, send: Send, producer: JobyardBroker
) -> None:
    worker = start("app", "--processes", "1", "--threads", "1").ready()
    send("hold", "held", 60)
    (run,) = eventually(worker.runs)
    send("quick", "next")
    os.kill(run.pid, signal.SIGTERM)
    worker.release("held")
    eventually(lambda: worker.names()["next"])
    assert worker.names() == {"held": 1, "held-end": 1, "next": 1}
    assert worker.runs()[-1].pid != run.pid
    eventually(lambda: not alive(run.pid))
    assert worker.metric("jobyard_worker_restarts_total", reason="stopped") == 1
