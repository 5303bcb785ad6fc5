"""What a job returned, and waiting for it without polling."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.results import ResultFailure, ResultMissing, ResultTimeout

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerUnavailableError
from jobyard.broker.sizes import MAX_RESULT
from jobyard.worker.worker import JobyardWorker
from support.hand import Hand, look_up, message
from support.proxy import Proxy
from support.servers import Server
from support.waiting import eventually


@pytest.mark.parametrize("value", [5, "text", None, False, [1, {"a": None}], {"ü": 1.5}, 2**70, ""])
def test_a_result_comes_back(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], value: Any) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> Any:
        return value

    start_worker()
    assert work.send().get_result(block=True, timeout=5000) == value


def test_a_failure_comes_back(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    @dramatiq.actor(queue_name="q", max_retries=0)
    def work() -> None:
        raise ValueError("no such address")

    start_worker()
    with pytest.raises(ResultFailure, match="actor raised ValueError: no such address") as failure:
        work.send().get_result(block=True, timeout=5000)
    assert (failure.value.orig_exc_type, failure.value.orig_exc_msg) == ("ValueError", "no such address")


def test_a_cancelled_jobs_result_is_a_failure(broker: JobyardBroker) -> None:
    sent = broker.enqueue(message())
    broker.cancel(sent.message_id)
    with pytest.raises(ResultFailure, match="cancelled"):
        sent.get_result(block=True)


def test_a_result_that_is_not_there_yet_is_missing(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    sent = broker.enqueue(message())
    with pytest.raises(ResultMissing):
        sent.get_result()
    hand().fetch()
    with pytest.raises(ResultMissing):
        sent.get_result()
    with pytest.raises(ResultTimeout):
        sent.get_result(block=True, timeout=20)
    with pytest.raises(ResultMissing):
        message().get_result()


@pytest.mark.parametrize(
    ("value", "what"), [("x" * (MAX_RESULT + 1), "object storage"), (object(), "not JSON serializable")]
)
def test_a_result_that_was_asked_for_and_can_not_be_kept_buries_the_job_and_nothing_follows(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], value: Any, what: str
) -> None:
    followed: list[Any] = []

    @dramatiq.actor(queue_name="q", store_results=True)
    def work() -> Any:
        return value

    @dramatiq.actor(queue_name="q")
    def follow(result: Any) -> None:
        followed.append(result)

    start_worker()
    sent = (work.message() | follow.message()).run()
    with pytest.raises(ResultFailure, match=what):
        sent.messages[0].get_result(block=True, timeout=5000)
    assert look_up(broker, sent.messages[0].message_id).state == "dead"
    broker.join("q", timeout=5000)
    assert followed == []


def test_the_largest_result_is_kept(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    value = "x" * (MAX_RESULT - 2)

    @dramatiq.actor(queue_name="q", store_results=True)
    def work() -> Any:
        return value

    start_worker()
    assert work.send().get_result(block=True, timeout=5000) == value


def test_a_waiter_is_woken_and_does_not_poll(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    sent = broker.enqueue(message())
    worker = hand()
    job = worker.fetch_one()
    got: list[Any] = []
    waiter = threading.Thread(target=lambda: got.append((sent.get_result(block=True), time.monotonic())))
    waiter.start()
    client = broker.server.client()
    eventually(lambda: client.scard(broker.keys("q")["waiting"]) == 1)
    time.sleep(0.05)
    before = client.info("stats")["total_commands_processed"]
    time.sleep(0.5)
    assert client.info("stats")["total_commands_processed"] - before <= 2  # The INFO itself.
    worker.done(job, b'"result"')
    ended = time.monotonic()
    waiter.join(5)
    ((result, at),) = got
    assert result == "result"
    assert at - ended < 0.1
    assert client.scard(broker.keys("q")["waiting"]) == 0


@pytest.mark.parametrize("end", ["dead", "cancelled", "cancelled while it waits", "discarded"])
def test_a_waiter_is_woken_whatever_the_end(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], end: str
) -> None:
    job_id = send(delay=60_000 if end == "cancelled while it waits" else None)
    worker = hand()
    ended: list[Any] = []
    deadline = time.monotonic() + 10
    waiter = threading.Thread(target=lambda: ended.append(broker.inspector.wait(job_id, queue="q", deadline=deadline)))
    waiter.start()
    eventually(lambda: broker.server.client().scard(broker.keys("q")["waiting"]) == 1)
    if end == "dead":
        worker.bury(worker.fetch_one())
    elif end == "discarded":
        broker.flush("q")
    elif end == "cancelled":
        job = worker.fetch_one()
        broker.cancel(job_id)
        worker.retry(job)
    else:
        broker.cancel(job_id)
    waiter.join(2)
    assert not waiter.is_alive()
    assert [job and job.state for job in ended] == [None if end == "discarded" else end.split()[0]]


def test_several_wait_for_one_job(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    sent = broker.enqueue(message())
    worker = hand()
    job = worker.fetch_one()
    got: list[Any] = []
    waiters = [threading.Thread(target=lambda: got.append(sent.get_result(block=True))) for _ in range(5)]
    for waiter in waiters:
        waiter.start()
    channel = broker.keys("q").finished_channel(sent.message_id)
    eventually(lambda: broker.server.client().pubsub_numsub(channel)[0][1] == 5)
    eventually(lambda: broker.server.client().scard(broker.keys("q")["waiting"]) == 1)
    time.sleep(0.05)
    worker.done(job, b"5")
    for waiter in waiters:
        waiter.join(2)
    assert got == [5] * 5


def test_who_waited_in_vain_leaves_nothing_behind(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    worker = hand()
    broker.inspector.wait(job_id, queue="q", deadline=time.monotonic())
    worker.done(worker.fetch_one())
    assert broker.inspector.wait(job_id, queue="q", deadline=time.monotonic() + 5).state == "completed"
    assert broker.server.client().scard(broker.keys("q")["waiting"]) == 0


def test_a_waiter_survives_a_broken_connection(
    server: Server,
    broker: JobyardBroker,
    make_broker: Callable[..., JobyardBroker],
    start_proxy: Callable[[int], Proxy],
    hand: Callable[..., Hand],
) -> None:
    proxy = start_proxy(server.port)
    asking = make_broker(proxy.url)
    sent = broker.enqueue(message())
    worker = hand()
    job = worker.fetch_one()
    got: list[Any] = []

    def wait() -> None:
        asked = asking.inspector.wait(sent.message_id, queue="q", deadline=time.monotonic() + 10)
        got.append(asked and asked.state)

    waiter = threading.Thread(target=wait)
    waiter.start()
    eventually(lambda: broker.server.client().scard(broker.keys("q")["waiting"]) == 1)
    proxy.refuse()
    worker.done(job)
    proxy.heal()
    waiter.join(10)
    assert got == ["completed"]


def test_a_waiter_that_can_not_reach_redis_gets_the_brokers_error(
    server: Server, make_broker: Callable[..., JobyardBroker], start_proxy: Callable[[int], Proxy]
) -> None:
    proxy = start_proxy(server.port)
    asking = make_broker(proxy.url, patience=0.2)
    sent = asking.enqueue(message())
    proxy.refuse()
    with pytest.raises(BrokerUnavailableError):
        asking.inspector.wait(sent.message_id, queue="q", deadline=time.monotonic() + 5)
