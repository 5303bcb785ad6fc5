"""Accepting jobs: once each, whole or not at all, and what is refused."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq import Message

from jobyard.broker import JobyardBroker
from support.hand import Hand, look_up, message
from support.proxy import Proxy
from support.servers import Server


@pytest.mark.parametrize("state", ["waiting", "delayed", "active", "dead", "completed", "cancelled"])
def test_a_known_id_changes_nothing_in_whatever_state_its_job_is(
    broker: JobyardBroker, hand: Callable[..., Hand], state: str
) -> None:
    first = message("q", 1)
    broker.enqueue(first, delay=60_000 if state == "delayed" else None)
    worker = hand()
    if state == "cancelled":
        broker.cancel(first.message_id)
    elif state not in ("waiting", "delayed"):
        job = worker.fetch_one()
        if state == "dead":
            worker.bury(job)
        elif state == "completed":
            worker.done(job)
    broker.enqueue(message("q", 2, job_id=first.message_id))
    job = look_up(broker, first.message_id)
    assert (job.state, job.args) == (state, (1,))
    assert broker.inspector.stats("q").counts["accepted"] == 1


def test_enqueue_many_says_how_many_were_new(broker: JobyardBroker) -> None:
    some = [message(queue) for queue in "aabbb"]
    assert broker.enqueue_many(some[:2]) == 2
    assert broker.enqueue_many(some) == 3
    assert broker.enqueue_many(some) == 0
    assert broker.enqueue_many([]) == 0


def test_one_id_twice_in_a_bulk_is_one_job(broker: JobyardBroker) -> None:
    assert broker.enqueue_many([message(job_id="same"), message(job_id="same")]) == 1


def test_a_lost_reply_makes_no_second_job(
    server: Server,
    broker: JobyardBroker,
    make_broker: Callable[..., JobyardBroker],
    start_proxy: Callable[[int], Proxy],
    hand: Callable[..., Hand],
) -> None:
    proxy = start_proxy(server.port)
    producer = make_broker(proxy.url)
    producer.enqueue(message())
    proxy.lose_replies(3, containing=b"the payload")
    producer.enqueue(message("q", "the payload"))
    assert proxy.lost == 3
    assert len(hand().fetch(9)) == 2


def test_a_lost_reply_makes_no_second_run_even_if_the_job_has_ended_and_is_forgotten(
    server: Server,
    broker: JobyardBroker,
    make_broker: Callable[..., JobyardBroker],
    start_proxy: Callable[[int], Proxy],
    hand: Callable[..., Hand],
) -> None:
    proxy = start_proxy(server.port)
    producer = make_broker(proxy.url)
    producer.enqueue(message())
    worker = hand()
    worker.done(worker.fetch_one())
    proxy.lose_replies(1, containing=b"the payload")
    connect, runs = proxy.accepted, []

    def run_it_meanwhile() -> None:
        # Between the lost reply and the repetition.
        while not proxy.lost:
            threading.Event().wait(0.001)
        for job in worker.fetch(5):
            runs.append(job.message_id)
            worker.done(job)
        broker.flush("q")

    thread = threading.Thread(target=run_it_meanwhile)
    thread.start()
    producer.enqueue(message("q", "the payload"))
    thread.join()
    assert proxy.accepted > connect
    assert runs + worker.ids(9) == runs[:1]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # That is what is tested.
def test_a_forked_child_has_its_own_connection_and_its_own_calls(broker: JobyardBroker) -> None:
    """With its parent's, its calls would be taken for repetitions of the parent's."""
    broker.enqueue(message())

    def produce() -> None:
        for _ in range(5):
            broker.enqueue(message())

    children = [multiprocessing.get_context("fork").Process(target=produce) for _ in range(2)]
    for child in children:
        child.start()
    produce()
    for child in children:
        child.join(10)
        assert child.exitcode == 0
    assert broker.inspector.stats("q").waiting == 16


def test_threads_share_a_broker(broker: JobyardBroker) -> None:
    def produce() -> None:
        for _ in range(50):
            broker.enqueue(message())
        broker.close()

    threads = [threading.Thread(target=produce) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broker.inspector.stats("q").waiting == 200


@pytest.mark.parametrize(
    "value",
    [
        2**70,
        -(2**70),
        float("nan"),
        float("inf"),
        "ü€😀",
        "",
        None,
        True,
        [1, [2, {"a": None}]],
        {"a": {"b": []}},
        1e-300,
    ],
)
def test_values_arrive_as_they_were_sent(broker: JobyardBroker, hand: Callable[..., Hand], value: Any) -> None:
    broker.enqueue(message("q", value))
    (arrived,) = hand().fetch_one().args
    assert repr(arrived) == repr(value)


@pytest.mark.parametrize("value", [object(), b"\xff\xfe", {1, 2}, 1j], ids=["object", "bytes", "set", "complex"])
def test_what_can_not_be_encoded_is_refused(broker: JobyardBroker, value: Any) -> None:
    for wrong in (message("q", value), message("q", [value]), Message("q", "work", (), {"a": value}, {}, "id", 0)):
        with pytest.raises((TypeError, ValueError), match="not JSON serializable"):
            broker.enqueue(wrong)
    assert broker.inspector.queues() == []


@pytest.mark.parametrize(
    ("wrong", "delay", "what"),
    [
        (message(job_id="x" * 257), None, "256 characters"),
        (Message("q", "work", (), {}, {}, "", 0), None, "1 to 256"),
        (message("1q"), None, "can't be a queue's name"),
        (message("q.DQ"), None, "can't be a queue's name"),
        (message("a b"), None, "can't be a queue's name"),
        (message("x" * 129), None, "can't be a queue's name"),
        (message("a{b}"), None, "can't be a queue's name"),
        (message(), 10**15, "20 years"),
        (message(priority="urgent"), None, "priority"),
        (message(priority=float("nan")), None, "priority"),
        (message(job_id="\ud800"), None, "surrogates not allowed"),
    ],
)
def test_what_can_never_be_accepted_is_refused_and_nothing_is_written(
    broker: JobyardBroker, wrong: Message[Any], delay: int | None, what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        broker.enqueue(wrong, delay=delay)
    with pytest.raises(ValueError, match=what):
        broker.enqueue_many([message(), wrong], delay=delay)
    assert broker.inspector.queues() == []


def test_an_id_of_256_characters_works(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    job_id = "ü \n\x00€" * 51 + "x"
    broker.enqueue(message(job_id=job_id))
    worker = hand()
    job = worker.fetch_one()
    assert job.message_id == job_id
    worker.retry(job)
    worker.done(worker.fetch_one(), b"5")
    assert look_up(broker, job_id).state == "completed"


def test_a_large_bulk_of_large_jobs_is_accepted(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    payload = "x" * 100_000
    assert broker.enqueue_many([message("q", payload) for _ in range(400)]) == 400
    worker, fetched = hand(), 0
    while some := worker.fetch(400):  # In calls of bounded size, see test_sizes.
        fetched += len(some)
    assert fetched == 400


def test_declaring_an_actor_makes_no_connection(make_broker: Callable[..., JobyardBroker]) -> None:
    nowhere = make_broker("redis://127.0.0.1:1/0")

    @dramatiq.actor(broker=nowhere)
    def work() -> None: ...

    assert "default" in nowhere.get_declared_queues()
