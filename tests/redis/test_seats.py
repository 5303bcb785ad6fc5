"""How a worker's threads are supplied: a free one takes the next job at once, whatever the others do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import dramatiq

from jobyard.broker import JobyardBroker
from support.waiting import eventually


def test_a_free_thread_takes_a_job_at_once_while_another_runs_a_long_one(
    broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    release = threading.Event()
    started: list[int] = []

    @dramatiq.actor
    def work(number: int) -> None:
        started.append(number)
        if number == 0:
            release.wait(20)

    start_worker(threads=3)
    work.send(0)
    eventually(lambda: started == [0])
    for number in range(1, 30):
        work.send(number)
        # It once took up to a second: nobody listened while a job ran and there was room for more.
        eventually(lambda expected=number: expected in started, timeout=0.9)
    release.set()
    broker.join("default", timeout=10_000)


def test_short_jobs_behind_a_long_one_go_to_another_worker(
    broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    release = threading.Event()
    ran: list[str] = []

    @dramatiq.actor
    def short() -> None:
        ran.append(threading.current_thread().name)

    @dramatiq.actor
    def long() -> None:
        release.wait(20)

    first = start_worker(threads=1)
    # Short jobs make the worker hungry, so that it fetches many at once …
    broker.enqueue_many(short.message() for _ in range(500))
    broker.join("default", timeout=10_000)
    # … and then a long one comes before many short ones.
    broker.pause("default")
    long.send()
    broker.enqueue_many(short.message() for _ in range(50))
    broker.resume("default")
    eventually(lambda: first.busy == 1)
    start_worker(threads=1)
    begun = time.monotonic()
    eventually(lambda: broker.inspector.stats("default").waiting == 0 and len(ran) == 550, timeout=5)
    assert time.monotonic() - begun < 5
    release.set()
    broker.join("default", timeout=10_000)
    attempts = {job.attempts for job in broker.inspector.jobs("default", "completed", limit=1000)}
    assert attempts == {1}
