"""Sizes: what is too large is refused with a reason, and many large jobs never make one huge call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.broker.link import Link
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.scripts import Script
from jobyard.broker.sizes import MAX_CALL
from jobyard.settings import BrokerSettings
from support.hand import Hand, message
from support.waiting import eventually

BIG = 900 * 1024


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Name, bytes sent and bytes received of each script call that is made from now on."""
    made: list[tuple[str, int, int]] = []
    call = Link.call

    def measured(self: Link, script: Script, keys: Any, arguments: Any = ()) -> Any:
        arguments = tuple(arguments)
        reply = call(self, script, keys, arguments)
        made.append((script.name, _size(arguments), _size(reply)))
        return reply

    monkeypatch.setattr(Link, "call", measured)
    return made


def _size(value: Any) -> int:
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return len(value) if isinstance(value, bytes | str) else 8


def test_a_message_that_is_too_large_is_refused_with_its_size_and_what_to_do(
    make_broker: Callable[..., JobyardBroker], redis_url: str, broker: JobyardBroker
) -> None:
    small = make_broker(redis_url, max_message_size=1000)
    with pytest.raises(jobyard.MessageTooLarge, match=r"more than the 1000 .*JOBYARD_MAX_MESSAGE_SIZE") as caught:
        small.enqueue(message("q", "x" * 1000))
    assert caught.value.limit == 1000
    assert caught.value.size > 1000
    assert isinstance(caught.value, ValueError)
    with pytest.raises(jobyard.MessageTooLarge):
        small.enqueue_many([message("q", 1), message("q", "x" * 1000)])
    assert small.inspector.queues() == []
    small.enqueue(message("q", "x" * 800))
    with pytest.raises(jobyard.MessageTooLarge, match="1048576"):
        broker.enqueue(message("q", "x" * 1024 * 1024))


def test_many_large_jobs_are_enqueued_and_fetched_in_calls_of_bounded_size(
    broker: JobyardBroker, hand: Callable[..., Hand], calls: list[tuple[str, int, int]]
) -> None:
    assert broker.enqueue_many([message("q", "x" * BIG, priority=number) for number in range(20)]) == 20
    assert [name for name, _, _ in calls].count("enqueue") == 5
    worker = hand()
    priorities: list[int] = []
    while some := worker.fetch(20):
        priorities += [one.priority for one in some]
        for delivery in some:
            delivery.result = b"x" * BIG
            worker.dispatcher.settle(delivery)
    worker.fetch(0)
    assert priorities == list(range(20))
    assert broker.inspector.stats("q").completed == 20
    sent, received = (max(call[side] for call in calls if call[0] in ("enqueue", "exchange")) for side in (1, 2))
    assert BIG < sent < MAX_CALL + 100_000
    assert BIG < received < MAX_CALL + 100_000


@pytest.mark.parametrize("limit", [None, 10])
def test_it_is_the_same_over_several_queues_and_with_limits(
    broker: JobyardBroker, hand: Callable[..., Hand], calls: list[tuple[str, int, int]], limit: int | None
) -> None:
    if limit:
        broker.configure("q", QueuePolicy(concurrency=limit))
    for number in range(8):
        broker.enqueue(message("q", "x" * BIG, priority=2 * number))
        broker.enqueue(message("r", "x" * BIG, priority=2 * number + 1))
    worker = hand("q", "r")
    priorities: list[int] = []
    while some := worker.fetch(20):
        priorities += [one.priority for one in some]
        for delivery in some:
            worker.done(delivery)
    assert priorities == list(range(16))
    assert max(received for name, _, received in calls if name == "exchange") < MAX_CALL + 100_000


def test_a_job_larger_than_a_call_goes_alone(
    make_broker: Callable[..., JobyardBroker], redis_url: str, hand: Callable[..., Hand]
) -> None:
    large = make_broker(redis_url, max_message_size=3 * MAX_CALL)
    ids = [large.enqueue(message("q", "x" * (MAX_CALL + size))).message_id for size in (1, 2)]
    worker = hand(broker=large)
    for job_id in ids:
        delivery = worker.fetch_one()
        assert delivery.message_id == job_id
        delivery.result = b"x" * (MAX_CALL + 1)
        worker.dispatcher.settle(delivery)
    worker.fetch(0)
    assert large.inspector.stats("q").completed == 2


def test_a_next_step_that_is_too_large_makes_a_dead_letter_and_the_job_runs_once(
    broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    ran: list[int] = []

    @dramatiq.actor(queue_name="q")
    def large() -> str:
        ran.append(1)
        return "x" * 2000

    @dramatiq.actor(queue_name="q")
    def after(text: str) -> None:
        raise AssertionError

    broker.max_message_size = 1500
    pipe = (large.message() | after.message()).run()
    start_worker()
    eventually(lambda: broker.inspector.stats("q").dead == 1)
    job = broker.inspector.job(pipe.messages[0].message_id)
    assert job is not None
    assert job.errors[-1]["error"] == "MessageTooLarge"
    assert ran == [1]


def test_a_result_that_is_too_large_is_not_kept_and_the_job_runs_once(
    broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    ran: list[int] = []
    broker.max_result_size = 1000

    @dramatiq.actor(queue_name="q")
    def large(size: int) -> str:
        ran.append(size)
        return "x" * size

    start_worker()
    assert large.send(998).get_result(block=True, timeout=20_000) == "x" * 998
    with pytest.raises(dramatiq.results.ResultFailure, match="more than the 1000"):
        large.send(999).get_result(block=True, timeout=20_000)
    assert ran == [998, 999]


def test_settings_say_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = BrokerSettings().make_broker()
    assert (made.max_message_size, made.max_result_size) == (1024 * 1024, 1024 * 1024)
    monkeypatch.setenv("JOBYARD_MAX_MESSAGE_SIZE", "5000")
    monkeypatch.setenv("JOBYARD_MAX_RESULT_SIZE", "6000")
    made = BrokerSettings().make_broker()
    assert (made.max_message_size, made.max_result_size) == (5000, 6000)
