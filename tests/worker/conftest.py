"""Starts workers, and enqueues their jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dramatiq import Message

from jobyard.broker import JobyardBroker
from support.ledger import audit
from support.servers import Kind, Server
from worker.process import WorkerProcess


@pytest.fixture
def valkey(shared_servers: Callable[[Kind], Server]) -> Server:
    """A shared server. (What concerns processes is the same on every kind.)"""
    return shared_servers("valkey")


@pytest.fixture
def producer(valkey: Server, make_broker: Callable[..., JobyardBroker]) -> Iterator[JobyardBroker]:
    """A broker to enqueue with. Afterwards the ledger must add up."""
    made = make_broker(valkey.url)
    yield made
    audit(made)


@pytest.fixture
def start(
    tmp_path: Path, valkey: Server, producer: JobyardBroker, namespace: str
) -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers of `programs/app.py`: `start("app", "--processes", "2")`. They are ended before the ledger is looked at."""
    started: list[WorkerProcess] = []

    def make(*arguments: str, url: str = valkey.url, **options: Any) -> WorkerProcess:
        started.append(WorkerProcess(tmp_path, url, namespace, *arguments, **options))
        return started[-1]

    yield make
    for one in started:
        one.end()
        print(one.log())


@pytest.fixture
def send(producer: JobyardBroker) -> Callable[..., str]:
    """Enqueues a job: `send("hold", "name", 60)`. Returns its id."""

    def enqueue(actor: str, *args: Any, **kwargs: Any) -> str:
        message: Message[Any] = Message(queue_name="work", actor_name=actor, args=args, kwargs=kwargs, options={})
        return producer.enqueue(message).message_id

    return enqueue
