"""Real worker processes as pods: one dies whole, one lives on somewhere, one shall go."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from jobyard.broker import JobyardBroker
from jobyard_operator.redis.pods import Cause, fence_pod, pods, release, retire
from support.waiting import eventually
from worker.process import WorkerProcess, alive

Start = Callable[..., WorkerProcess]
Send = Callable[..., str]


def start_pod(start: Start, name: str, *arguments: str) -> WorkerProcess:
    words = arguments or ("--processes", "1", "--threads", "1")
    return start("app", *words, environment={"JOBYARD_POD_NAME": name}).ready()


def test_the_jobs_of_a_pod_that_dies_whole_run_elsewhere_at_once(
    start: Start, send: Send, producer: JobyardBroker
) -> None:
    dying = start_pod(start, "mail-1", "--processes", "2", "--threads", "2")
    ids = [send("hold", f"held-{number}", 60) for number in range(4)]
    eventually(lambda: len(dying.runs()) == 4, 30)
    eventually(lambda: pods(producer)["mail-1"].threads == 4)
    children = dying.children()
    dying.tell(signal.SIGSTOP)  # so that it hands nothing back
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    dying.kill()
    eventually(lambda: not any(alive(pid) for pid in children))
    cause = Cause(kind="OOMKilled", message="limit reached", counts_attempt=True, exit_code=137, image="shop:1.4")
    fenced = fence_pod(producer, "mail-1", cause)
    assert (fenced.workers, fenced.jobs) == (2, 4)
    assert "mail-1" not in pods(producer)

    living = start_pod(start, "mail-2", "--processes", "1", "--threads", "4")
    eventually(lambda: len(living.runs()) == 8, 30, what="the four run again")
    for number in range(4):
        living.release(f"held-{number}")
    for job_id in ids:
        job = producer.inspector.wait(job_id, queue="work", deadline=time.monotonic() + 30)
        assert job is not None
        assert (job.state, job.attempts) == ("completed", 2)
        assert [(one["error"], one["pod"], one["image"]) for one in job.errors] == [("OOMKilled", "mail-1", "shop:1.4")]


def test_a_fenced_worker_that_wakes_up_delivers_nothing(start: Start, send: Send, producer: JobyardBroker) -> None:
    """As on a node that was cut off and comes back."""
    cut_off = start_pod(start, "mail-1")
    job_id = send("hold", "held", 60)
    eventually(cut_off.runs, 30)
    (child,) = cut_off.children()
    cut_off.tell(signal.SIGSTOP)
    os.kill(child, signal.SIGSTOP)
    cause = Cause(kind="NodeLost", message="node-1 is gone", counts_attempt=False, node="node-1")
    assert fence_pod(producer, "mail-1", cause).jobs == 1
    other = start_pod(start, "mail-2")
    eventually(lambda: len(other.runs()) == 2, 30)
    cut_off.release("held")
    os.kill(child, signal.SIGCONT)
    cut_off.tell(signal.SIGCONT)
    job = producer.inspector.wait(job_id, queue="work", deadline=time.monotonic() + 30)
    assert job is not None
    assert (job.state, job.attempts) == ("completed", 1)
    assert [one["error"] for one in job.errors] == ["NodeLost"]
    assert producer.inspector.stats("work").completed == 1
    eventually(lambda: cut_off.metric("jobyard_jobs_stale_total") == 1, what="it has tried to")


def test_a_retired_worker_runs_nothing_until_it_is_released(start: Start, send: Send, producer: JobyardBroker) -> None:
    going, staying = start_pod(start, "mail-1"), start_pod(start, "mail-2")
    eventually(lambda: len(pods(producer)) == 2)
    tokens = pods(producer)["mail-1"].tokens
    assert retire(producer, "work", tokens) == set(tokens)
    for number in range(50):
        send("quick", f"{number}")
    eventually(lambda: producer.inspector.stats("work").completed == 50)
    (child,) = staying.children()
    assert {run.pid for run in staying.runs()} == {child}
    staying.stop()
    send("quick", "last")
    eventually(lambda: producer.inspector.stats("work").waiting == 1)
    assert release(producer, "work", tokens) == len(tokens)
    eventually(lambda: producer.inspector.stats("work").completed == 51, 30)
    assert going.children() == [staying.runs()[-1].pid]
