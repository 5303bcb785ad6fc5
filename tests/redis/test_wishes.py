"""Unique jobs, debounce, idempotency keys and expiry."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from support.waiting import eventually

StartWorker = Callable[..., Any]


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.fixture
def once(broker: JobyardBroker, ran: list[Any]) -> Any:
    @dramatiq.actor(unique=True)
    def once(value: int, seconds: float = 0.0) -> int:
        ran.append(value)
        time.sleep(seconds)
        return value

    return once


def drained(broker: JobyardBroker) -> None:
    broker.join("default", interval=5, timeout=20_000)


def test_a_second_job_with_the_same_arguments_gives_the_first_one_and_its_result(
    broker: JobyardBroker, start_worker: StartWorker, once: Any, ran: list[Any]
) -> None:
    first, second, other = once.send(1), once.send(1), once.send(2)
    assert second.message_id == first.message_id
    assert other.message_id != first.message_id
    start_worker()
    assert second.get_result(block=True) == 1
    drained(broker)
    assert sorted(ran) == [1, 2]


def test_a_unique_key_is_free_again_when_its_job_has_ended(
    broker: JobyardBroker, start_worker: StartWorker, once: Any, ran: list[Any]
) -> None:
    start_worker()
    once.send(1)
    drained(broker)
    once.send(1)
    drained(broker)
    assert ran == [1, 1]


def test_unique_until_start_accepts_the_next_one_while_the_first_runs(
    broker: JobyardBroker, start_worker: StartWorker, once: Any, ran: list[Any]
) -> None:
    start_worker()
    options = {"args": (1, 0.3), "unique": "k", "unique_until": "start"}
    first = once.send_with_options(**options)
    eventually(lambda: ran == [1])
    second = once.send_with_options(**options)
    third = once.send_with_options(**options)
    assert second.message_id != first.message_id
    assert third.message_id == second.message_id
    drained(broker)
    assert ran == [1, 1]


def test_unique_for_a_time_holds_after_the_end_and_no_longer(
    broker: JobyardBroker, start_worker: StartWorker, once: Any, ran: list[Any]
) -> None:
    start_worker()
    options = {"args": (1,), "unique": "k", "unique_until": 0.5}
    first = once.send_with_options(**options)
    drained(broker)
    assert once.send_with_options(**options).message_id == first.message_id
    eventually(lambda: once.send_with_options(**options).message_id != first.message_id)
    drained(broker)
    assert ran == [1, 1]


def test_a_dead_or_cancelled_or_discarded_job_lets_go_of_its_key(
    broker: JobyardBroker, start_worker: StartWorker
) -> None:
    @dramatiq.actor(unique="value", max_retries=0)
    def fail(value: int) -> None:
        raise ValueError

    cancelled = fail.send(1)
    broker.cancel(cancelled.message_id)
    discarded = fail.send(1)
    assert discarded.message_id != cancelled.message_id
    broker.flush("default")
    dead = fail.send(1)
    assert dead.message_id != discarded.message_id
    start_worker()
    eventually(lambda: broker.inspector.stats("default").dead == 1)
    assert fail.send(1).message_id != dead.message_id


def test_debounce_replaces_the_one_that_waits_and_starts_its_delay_anew(
    broker: JobyardBroker, start_worker: StartWorker, once: Any, ran: list[Any]
) -> None:
    options = {"unique": "d", "debounce": True, "delay": 300}
    messages = [once.send_with_options(args=(number,), **options) for number in range(5)]
    assert [broker.inspector.job(message.message_id) is None for message in messages] == [True] * 4 + [False]
    start_worker()
    drained(broker)
    assert ran == [4]
    assert broker.inspector.stats("default").counts["discarded"] == 4


def test_an_idempotency_key_makes_one_job_of_many_sends(
    broker: JobyardBroker, start_worker: StartWorker, ran: list[Any]
) -> None:
    @dramatiq.actor
    def pay(amount: int) -> int:
        ran.append(amount)
        return amount

    start_worker()
    first = pay.send_with_options(args=(10,), idempotency_key="order-7")
    assert first.get_result(block=True) == 10
    again = pay.send_with_options(args=(10,), idempotency_key="order-7")
    assert again.message_id == first.message_id
    assert again.get_result(block=True) == 10
    assert pay.send_with_options(args=(10,), idempotency_key="order-8").message_id != first.message_id
    drained(broker)
    assert ran == [10, 10]


@pytest.mark.parametrize("expires", [100, timedelta(milliseconds=100)])
def test_a_job_that_has_not_started_in_time_is_a_dead_letter(
    broker: JobyardBroker, start_worker: StartWorker, ran: list[Any], expires: Any
) -> None:
    @dramatiq.actor
    def late(value: int) -> None:
        ran.append(value)

    message = late.send_with_options(args=(1,), expires=expires)
    eventually(lambda: broker.inspector.stats("default").now > message.message_timestamp + 150)
    start_worker()
    job = eventually(lambda: next(iter(broker.inspector.jobs("default", "dead")), None))
    assert job.id == message.message_id
    assert [error["error"] for error in job.errors] == ["Expired"]
    assert not ran


def test_a_job_that_started_in_time_runs_to_its_end_and_may_be_retried(
    broker: JobyardBroker, start_worker: StartWorker, ran: list[Any]
) -> None:
    @dramatiq.actor(max_retries=1, min_backoff=200, max_backoff=200)
    def twice(value: int) -> None:
        ran.append(value)
        if len(ran) == 1:
            raise ValueError

    start_worker()
    twice.send_with_options(args=(1,), expires=5_000)
    drained(broker)
    assert ran == [1, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"unique": "k", "unique_until": "never"},
        {"unique": "a\0b"},
        {"key": "x" * 300},
        {"expires": 0},
        {"expires": "soon"},
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(broker: JobyardBroker, once: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        once.send_with_options(args=(1,), **wrong)
    assert "default" not in broker.inspector.queues()
