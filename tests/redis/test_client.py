"""Both clients: jobs handed in by name, their results awaited, with workers on a real server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dramatiq
import pytest

from jobyard import PermanentError
from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from jobyard.client import AsyncClient, Client, Request
from jobyard.client.outcomes import JobFailed, JobPending, JobUnknown
from jobyard.errors import RateLimitExceeded
from support.waiting import eventually

StartWorker = Callable[..., Any]


@pytest.fixture
def client(redis_url: str, namespace: str, broker: JobyardBroker) -> Any:
    with Client(redis_url, namespace=namespace) as made:
        yield made


@pytest.fixture
def actors(broker: JobyardBroker) -> None:
    @dramatiq.actor
    def add(a: int, b: int = 0) -> int:
        return a + b

    @dramatiq.actor
    def refuse() -> None:
        raise PermanentError("never")


def run(redis_url: str, namespace: str, use: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with AsyncClient(redis_url, namespace=namespace) as client:
            return await use(client)

    return asyncio.run(main())


def test_a_result_is_awaited(client: Client, actors: None, start_worker: StartWorker) -> None:
    start_worker()
    assert client.enqueue("add", 1, b=2).result() == 3


def test_many_jobs_in_one_call(client: Client, actors: None, start_worker: StartWorker) -> None:
    handles = client.enqueue_many(Request("add", (number,), {"b": 1}) for number in range(50))
    start_worker()
    assert [handle.result() for handle in handles] == list(range(1, 51))


def test_a_job_that_dies_tells_of_what(client: Client, actors: None, start_worker: StartWorker) -> None:
    start_worker()
    with pytest.raises(JobFailed, match="PermanentError: never") as caught:
        client.enqueue("refuse").result()
    assert caught.value.job.state == "dead"


def test_a_job_that_nobody_runs_is_pending_and_can_be_cancelled(client: Client) -> None:
    handle = client.enqueue("add", 1)
    with pytest.raises(JobPending, match="waiting"):
        handle.result(timeout=0.1)
    assert handle.cancel() == "waiting"
    with pytest.raises(JobFailed, match="cancelled"):
        handle.result()


def test_an_unknown_job_is_not_waited_for(client: Client) -> None:
    with pytest.raises(JobUnknown):
        client.handle("nowhere").result()
    with pytest.raises(JobUnknown):
        client.handle("nowhere", queue="default").result()


def test_an_idempotency_key_gives_the_first_job(client: Client) -> None:
    first = client.enqueue("add", 1, wishes={"idempotency_key": "k"})
    second = client.enqueue("add", 1, wishes={"idempotency_key": "k"})
    assert (first.id, first.duplicate, second.duplicate) == (second.id, False, False)
    assert client.enqueue_many([Request("add", (1,), wishes={"idempotency_key": "k"})])[0].id == first.id


def test_a_unique_key_gives_the_job_that_has_it(client: Client) -> None:
    first = client.enqueue("add", 1, wishes={"unique": "k"})
    second = client.enqueue("add", 2, wishes={"unique": "k"})
    assert (second.id, second.duplicate, first.duplicate) == (first.id, True, False)


def test_a_time_to_run_at(client: Client) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    job = client.enqueue("add", 1, wishes={"run_at": at}).job()
    assert job is not None
    assert job.state == "delayed"
    assert abs((job.due_at or 0) - at.timestamp() * 1000) < 5_000


def test_a_rate_that_rejects_says_when_to_come_back(client: Client, broker: JobyardBroker) -> None:
    broker.configure("default", QueuePolicy(rate=1, rate_period=60_000, rate_mode="reject"))
    client.enqueue("add", 1)
    with pytest.raises(RateLimitExceeded):
        client.enqueue("add", 2)


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"unique_until": "start"}, "unique, which is missing"),
        ({"run_at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - which is the point
        ({"run_at": datetime.now(UTC), "delay": 1}, "one of them"),
        ({"prioriti": 1}, "unknown: prioriti"),
        ({"priority": "soon"}, "integer from 0 to 100"),
    ],
)
def test_what_makes_no_sense_is_refused(client: Client, wishes: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        client.enqueue("add", 1, wishes=wishes)
    assert client.stats().waiting == 0


def test_hundreds_of_tasks_wait_on_one_connection_and_few_threads(
    redis_url: str, namespace: str, broker: JobyardBroker, actors: None, start_worker: StartWorker
) -> None:
    async def use(client: AsyncClient) -> tuple[list[int], int]:
        handles = await client.enqueue_many([Request("add", (number,)) for number in range(300)])
        waits = [asyncio.create_task(handle.result(timeout=60)) for handle in handles]
        await asyncio.sleep(0)
        key = broker.keys("default")["waiting"]
        while await asyncio.to_thread(broker.link.command, b"SCARD", key, key=key) < 300:
            await asyncio.sleep(0.01)
        threads = sum(thread.name.startswith("jobyard-") for thread in threading.enumerate())
        start_worker()
        return await asyncio.gather(*waits), threads

    results, threads = run(redis_url, namespace, use)
    assert results == list(range(300))
    assert threads <= 4 + 1
    key = broker.keys("default")["waiting"]
    assert broker.link.command(b"SCARD", key, key=key) == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jobyard-ends")]


def test_the_async_twin_tells_the_same(
    redis_url: str, namespace: str, broker: JobyardBroker, actors: None, start_worker: StartWorker
) -> None:
    async def use(client: AsyncClient) -> None:
        pending = await client.enqueue("add", 1, b=1, queue="default", wishes={"delay": 60_000})
        with pytest.raises(JobPending):
            await pending.result(timeout=0.05)
        assert await pending.cancel() == "delayed"
        with pytest.raises(JobFailed, match="cancelled"):
            await pending.result()
        with pytest.raises(JobUnknown):
            await client.handle("nowhere", queue="default").result()
        start_worker()
        with pytest.raises(JobFailed, match="never"):
            await (await client.enqueue("refuse")).result()
        assert await (await client.enqueue("add", 20, b=22)).result() == 42
        assert (await client.stats()).cancelled == 1

    run(redis_url, namespace, use)


def test_a_wait_outlives_a_connection_that_breaks(
    redis_url: str, namespace: str, broker: JobyardBroker, actors: None, start_worker: StartWorker
) -> None:
    """The message that tells of the end may have been on it: the waited-for are looked at again."""

    async def use(client: AsyncClient) -> int:
        handle = await client.enqueue("add", 5)
        wait = asyncio.create_task(handle.result(timeout=60))
        key = broker.keys("default")["waiting"]
        while not await asyncio.to_thread(broker.link.command, b"SCARD", key, key=key):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(broker.client.client_kill_filter, _type="pubsub")
        start_worker()
        return int(await wait)

    assert run(redis_url, namespace, use) == 5


def test_the_address_comes_from_the_environment(
    redis_url: str, namespace: str, broker: JobyardBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBYARD_REDIS_URL", redis_url)
    monkeypatch.setenv("JOBYARD_NAMESPACE", namespace)
    with Client() as client:
        client.enqueue("add", 1)
    eventually(lambda: broker.inspector.stats("default").waiting == 1)
