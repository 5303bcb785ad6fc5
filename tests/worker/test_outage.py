"""Redis is away: the worker says so, stays alive, and goes on when Redis is back."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from support.servers import Server
from support.waiting import eventually
from worker.process import WorkerProcess


@pytest.fixture
def own(start_server: Callable[..., Server]) -> Server:
    """A server that may be killed."""
    return start_server("valkey", aof=True)


@pytest.fixture
def start(tmp_path: Path, own: Server, namespace: str) -> Iterator[Callable[..., WorkerProcess]]:
    started: list[WorkerProcess] = []

    def make(*arguments: str, **options: Any) -> WorkerProcess:
        started.append(WorkerProcess(tmp_path, own.url, namespace, *arguments, **options))
        return started[-1]

    yield make
    for one in started:
        one.end()
        print(one.log())


def enqueue(own: Server, namespace: str, actor: str, *args: Any) -> None:
    broker = JobyardBroker(own.url, namespace=namespace)
    broker.enqueue(dramatiq.Message(queue_name="work", actor_name=actor, args=args, kwargs={}, options={}))
    broker.close()


def test_a_worker_is_not_ready_while_redis_is_away_and_goes_on_when_it_is_back(
    start: Callable[..., WorkerProcess], own: Server, namespace: str
) -> None:
    worker = start("app", "--processes", "2", "--threads", "2").ready()
    children = worker.children()
    assert worker.metric("jobyard_redis_up") == 1
    own.kill()
    status, text = eventually(lambda: _not_ok(worker.get("/readyz")), 8)
    assert (status, text) == (503, "Redis does not answer\n")
    assert worker.get("/livez")[0] == 200, "restarting the worker would not bring Redis back"
    eventually(lambda: worker.metric("jobyard_redis_up") == 0, 8)
    assert worker.metric("jobyard_queue_jobs") is None
    begun = time.monotonic()
    assert worker.get("/metrics")[0] == 200
    assert time.monotonic() - begun < 4, "scrapes don't wait for Redis"

    own.start()
    worker.ready()
    assert worker.children() == children
    enqueue(own, namespace, "quick", "afterwards")
    eventually(lambda: worker.names()["afterwards"])
    eventually(lambda: worker.metric("jobyard_redis_up") == 1, 8)


def test_a_worker_can_be_started_before_redis(start: Callable[..., WorkerProcess], own: Server, namespace: str) -> None:
    own.kill()
    worker = start("app", "--processes", "1")
    eventually(lambda: worker.get("/livez")[0] == 200)
    eventually(lambda: "Waiting for it" in worker.log())
    assert worker.get("/readyz")[0] == 503
    own.start()
    worker.ready()
    enqueue(own, namespace, "quick", "first")
    eventually(lambda: worker.names()["first"])


def test_a_worker_that_waits_for_redis_can_be_stopped(start: Callable[..., WorkerProcess], own: Server) -> None:
    own.kill()
    worker = start("app", "--processes", "1")
    eventually(lambda: "Waiting for it" in worker.log())
    begun = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - begun < 10


def test_when_redis_is_away_a_stop_takes_no_longer_than_the_grace_time(
    start: Callable[..., WorkerProcess], own: Server, namespace: str
) -> None:
    worker = start("app", "--processes", "1", "--threads", "1", "--grace", "1").ready()
    enqueue(own, namespace, "hold", "held", 60)
    eventually(worker.runs)
    own.kill()
    begun = time.monotonic()
    worker.stop(signal.SIGTERM)
    assert time.monotonic() - begun < 12


def _not_ok(answer: tuple[int, str]) -> tuple[int, str] | None:
    return answer if answer[0] != 200 else None
