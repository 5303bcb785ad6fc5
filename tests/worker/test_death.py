"""Processes that die, and what becomes of their jobs."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.workers import list_workers
from support.waiting import eventually
from worker.process import WorkerProcess, alive

Start = Callable[..., WorkerProcess]
Send = Callable[..., str]

#: Seconds: a small part of the lease, which would see to it otherwise. (Usual is 0.01 with a sibling, 0.3 without.)
AT_ONCE = 5.0


def test_the_job_of_a_killed_process_runs_again_at_once_and_the_attempt_counts(
    start: Start, send: Send, producer: JobyardBroker
) -> None:
    worker = start("app", "--processes", "2", "--threads", "2").ready()
    job_id = send("hold", "held", 60)
    (run,) = eventually(worker.runs)
    os.kill(run.pid, signal.SIGKILL)
    again = eventually(lambda: worker.runs()[1:], AT_ONCE)[0]
    assert (again.name, again.attempt) == ("held", 2)
    assert again.pid != run.pid
    worker.release("held")
    job = producer.inspector.wait(job_id, queue="work", deadline=time.monotonic() + 5)
    assert job is not None
    assert (job.state, job.attempts) == ("completed", 2)
    (error,) = job.errors
    assert error["error"] == "WorkerDied"
    assert error["message"] == "the worker process was killed by signal 9 (SIGKILL)"
    assert error["signal"] == 9
    assert error["worker"].endswith(f"/{run.pid}")
    (group,) = producer.failures.groups("work")
    assert (group.fingerprint, group.error, group.count, group.dead) == ("WorkerDied", "WorkerDied", 1, 0)
    assert (group.sample, group.actors) == (job_id, ("hold",))
    eventually(lambda: len(worker.children()) == 2, what="the dead process is replaced")
    worker.ready()
    eventually(lambda: len(list_workers(producer)) == 2, what="the dead process is not in the register")


def test_with_a_single_process_its_successor_sees_to_the_jobs(start: Start, send: Send) -> None:
    worker = start("app", "--processes", "1", "--threads", "2").ready()
    send("hold", "held", 60)
    (run,) = eventually(worker.runs)
    os.kill(run.pid, signal.SIGKILL)
    again = eventually(lambda: worker.runs()[1:], AT_ONCE)[0]
    assert again.attempt == 2


@pytest.mark.parametrize("threads", ["1", "3"])
def test_jobs_that_were_completed_or_only_fetched_dont_suffer_from_a_killed_neighbour(
    start: Start, send: Send, producer: JobyardBroker, threads: str
) -> None:
    producer.pause("work")
    before = [send("quick", f"before-{number}") for number in range(300)]
    killer = send("die", "killer")
    after = [send("quick", f"after-{number}") for number in range(300)]
    worker = start("app", "--processes", "1", "--threads", threads).ready()
    producer.resume("work")
    eventually(lambda: producer.inspector.stats("work").completed == 601, 10, what=f"all done: {worker.log()}")
    twice = {name for name, count in worker.names().items() if count > 1}
    # With three threads up to two neighbours were running.
    assert "killer" in twice
    assert len(twice) <= int(threads)
    attempts = {job.id: job.attempts for job in producer.inspector.jobs_by_id("work", [*before, killer, *after])}
    assert attempts.pop(killer) == 2
    assert sum(count > 1 for count in attempts.values()) < int(threads)
    recovered = worker.metric("jobyard_worker_recovered_jobs_total")
    assert recovered is not None
    assert recovered > int(threads), "nothing was fetched that had not been started: the test shows nothing"


def test_programs_that_a_job_has_started_end_with_its_process(start: Start, send: Send) -> None:
    worker = start("app", "--processes", "1", "--threads", "1").ready()
    send("start_helper", "helper")
    (run,) = eventually(worker.runs)
    helper = int(run.name.partition("-")[2])
    assert alive(helper)
    os.kill(run.pid, signal.SIGKILL)
    eventually(lambda: not alive(helper), 5, what="the helper has ended")


def test_a_job_that_kills_its_workers_is_buried_when_its_attempts_are_used_up(
    start: Start, send: Send, producer: JobyardBroker
) -> None:
    worker = start("app", "--processes", "2", "--threads", "1").ready()
    job_id = send("poison", "poison")
    job = producer.inspector.wait(job_id, queue="work", deadline=time.monotonic() + 15)
    assert job is not None
    assert (job.state, job.attempts) == ("dead", 3)
    assert [run.attempt for run in worker.runs()] == [1, 2, 3]
    assert [error["signal"] for error in job.errors[:3]] == [signal.SIGSEGV] * 3


def test_a_killed_supervisor_leaves_no_process_behind_and_no_job(
    start: Start, send: Send, producer: JobyardBroker
) -> None:
    worker = start("app", "--processes", "2", "--threads", "1", "--grace", "0.5").ready()
    job_id = send("hold", "held", 60)
    eventually(worker.runs)
    children = worker.children()
    assert len(children) == 2
    worker.kill()
    eventually(lambda: not any(alive(pid) for pid in children), 8, what=f"all gone: {worker.log()}")
    job = producer.inspector.job(job_id, queue="work")
    assert job is not None
    assert (job.state, job.attempts) == ("waiting", 0)
    assert list_workers(producer) == []


def test_what_orphans_leave_behind_is_reaped(start: Start, send: Send) -> None:
    subreaper = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1); os.execv(sys.argv[1], sys.argv[1:])"
    worker = start("app", "--processes", "1", wrapper=(sys.executable, "-S", "-c", subreaper)).ready()
    (child,) = worker.children()
    send("leave_orphan")
    eventually(worker.runs, 5)
    assert len(worker.children()) == 2, "the supervisor did not adopt the orphan: the test shows nothing"
    eventually(lambda: worker.children() == [child], 5, what="the orphan is reaped")


def test_a_module_that_crashes_is_tried_later_and_later(start: Start) -> None:
    worker = start("crashing", "--processes", "1")
    eventually(lambda: len(worker.runs()) >= 4, 30)
    moments = [float(run.name) for run in worker.runs()[:4]]
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    # At once, after 0.5 s, after 1 s; each with the time that a process needs to start.
    assert pauses[1] >= 0.5
    assert pauses[2] >= 1
    eventually(lambda: "The next process in its place starts in 2 s" in worker.log())
    assert "exited with status 7" in worker.log()
    assert worker.get("/livez")[0] == 200
    assert worker.get("/readyz") == (503, "0 of 1 processes are ready\n")
    assert worker.stop() == 0


def test_a_worker_that_was_never_of_use_gives_up_where_it_is_asked_to(start: Start) -> None:
    worker = start("crashing", "--processes", "1", "--max-crashes", "3")
    assert worker.wait(40) == 4
    assert len(worker.runs()) == 3
    assert (
        "Giving up: 3 processes died in a row before any job had ended; the last one exited with status 7"
        in worker.log()
    )


def test_a_job_that_kills_its_workers_does_not_end_a_worker_that_was_of_use(start: Start, send: Send) -> None:
    worker = start("app", "--processes", "1", "--threads", "1", "--max-crashes", "2").ready()
    send("quick", "useful")
    eventually(lambda: worker.metric("jobyard_jobs_ended_total", outcome="completed", queue="work", actor="quick") == 1)
    for number in range(2):
        send("die", f"{number}")
    eventually(lambda: worker.metric("jobyard_worker_restarts_total", reason="crash") == 2, 20)
    assert worker.ready().stop() == 0
