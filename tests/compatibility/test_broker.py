"""Priorities, and what else Dramatiq's interface of a broker has: delays, join, flush."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
from dramatiq.errors import QueueJoinTimeout


@pytest.fixture
def program(load: Callable[..., Any], engine: str) -> Iterator[Any]:
    one = load("prioritised", engine)
    yield one
    one.close()


def test_jobs_run_in_the_order_of_their_priorities(load: Callable[..., Any], topic: str) -> None:
    program = load("prioritised", "inline")
    names = ("very_late", "late", "ordinary", "zero", "first", "negative")
    try:
        for name in names:
            getattr(program, name).send(topic)
        program.ordinary.send_with_options(args=(topic,), priority=2)
        program.start()
        assert program.notes(topic, 7) == [
            "negative", "first", "ordinary", "ordinary", "zero", "late", "very late",
        ]  # fmt: skip
    finally:
        program.close()


def test_a_priority_that_is_not_set_is_normal_and_others_are_brought_into_range(program: Any, topic: str) -> None:
    names = ("ordinary", "zero", "first", "late", "very_late", "negative")
    sent = {name: getattr(program, name).send(topic) for name in names}
    assert {name: program.job(message).priority for name, message in sent.items()} == {
        "ordinary": 5,
        "zero": 5,
        "first": 1,
        "late": 20,
        "very_late": 100,
        "negative": 0,
    }


@pytest.mark.parametrize("delay", [90_000, timedelta(minutes=1, seconds=30)])
def test_a_delay_in_milliseconds_or_as_a_timedelta(program: Any, topic: str, delay: Any) -> None:
    job = program.job(program.ordinary.send_with_options(args=(topic,), delay=delay))
    assert job.state == "delayed"
    assert job.due_at - job.created_at == pytest.approx(90_000, abs=200)


def test_a_delay_longer_than_dramatiqs_seven_days(program: Any, topic: str) -> None:
    job = program.job(program.ordinary.send_with_options(args=(topic,), delay=timedelta(days=400)))
    assert job.due_at - job.created_at == pytest.approx(400 * 86_400_000, abs=200)


def test_join_waits_for_all_jobs_also_delayed_ones(program: Any, topic: str) -> None:
    program.start()
    for _ in range(20):
        program.ordinary.send(topic)
    program.ordinary.send_with_options(args=(topic,), delay=100)
    program.broker.join("default", timeout=20_000)
    assert program.notes(topic) == ["ordinary"] * 21


def test_join_gives_up_in_time(program: Any, topic: str) -> None:
    program.ordinary.send(topic)
    began = time.monotonic()
    with pytest.raises(QueueJoinTimeout):
        program.broker.join("default", timeout=100)
    assert 0.1 <= time.monotonic() - began < 2


def test_flush_all_discards_what_waits_and_counts_it(program: Any, topic: str) -> None:
    program.ordinary.send(topic)
    program.ordinary.send_with_options(args=(topic,), delay=60_000)
    program.broker.flush_all()
    program.broker.join("default", timeout=1_000)
    stats = program.broker.inspector.stats("default")
    assert (stats.waiting, stats.delayed, stats.counts["discarded"], stats.lost) == (0, 0, 2, 0)
    program.start()
    message = program.first.send(topic)
    program.ended(message)
    assert program.notes(topic) == ["first"]


def test_the_worker_of_a_unit_test(program: Any, topic: str) -> None:
    """Dramatiq's own `Worker` in the process of the test, as in its guide to testing."""
    worker = dramatiq.Worker(program.broker, worker_timeout=100, worker_threads=4)
    worker.start()
    try:
        for _ in range(3):
            program.ordinary.send(topic)
        program.broker.join(program.ordinary.queue_name, timeout=10_000)
        worker.join()
        assert program.notes(topic) == ["ordinary"] * 3
    finally:
        worker.stop()
    program.ordinary.send(topic)
    with pytest.raises(QueueJoinTimeout):
        program.broker.join("default", timeout=200)
