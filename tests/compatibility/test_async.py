"""Async actors, with the AsyncIO middleware and, under our worker, without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobyard.worker.worker import boot

WITH, WITHOUT = "asynchronous", "asynchronous_without_middleware"
CASES = [
    (WITH, "inline"),
    (WITH, "threads"),
    pytest.param((WITH, "jobyard"), marks=pytest.mark.slow),
    pytest.param((WITH, "dramatiq"), marks=pytest.mark.slow),
    (WITHOUT, "inline"),
    (WITHOUT, "threads"),
    pytest.param((WITHOUT, "jobyard"), marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=CASES, ids=str)
def program(request: pytest.FixtureRequest, load: Callable[..., Any]) -> Iterator[Any]:
    one = load(*request.param)
    try:
        one.start()
        yield one
    finally:
        one.close()


def test_it_runs_and_its_result_is_kept(program: Any) -> None:
    assert program.add.send(1, 2).get_result(block=True) == 3


def test_in_a_pipeline(program: Any) -> None:
    pipe = (program.add.message(1, 2) | program.add.message(10)).run()
    assert pipe.get_result(block=True) == 13


def test_what_it_raises_is_retried(program: Any, topic: str) -> None:
    message = program.fails_once.send(topic)
    assert message.get_result(block=True) == "the second time"
    assert program.job(message).errors[0]["error"] == "TimeoutError"


def test_it_knows_its_message_and_its_job(program: Any) -> None:
    message = program.knows_itself.send()
    assert message.get_result(block=True) == [message.message_id, message.message_id]


def test_its_time_limit_cancels_the_coroutine_and_waits_for_its_cleaning_up(program: Any, topic: str) -> None:
    job = program.ended(program.has_little_time.send(topic), "dead")
    assert program.notes(topic) == ["cancelled", "cleaned up"]
    assert job.errors[-1]["error"] == "TimeLimitExceeded"


def test_it_may_send_and_call_back(program: Any, topic: str) -> None:
    if program.engine != "inline":
        assert program.sends.send(4).get_result(block=True) == 8
    program.calls_back.send(topic)
    assert program.notes(topic, 1) == ["well"]


@pytest.mark.parametrize("name", [WITH, WITHOUT])
def test_the_middleware_is_there_once_however_often_a_worker_starts(load: Callable[..., Any], name: str) -> None:
    one = load(name, "threads")
    try:
        for _ in range(2):
            one.start()
            assert one.add.send(1, 1).get_result(block=True) == 2
            one.stop()
        kinds = [type(middleware).__name__ for middleware in one.broker.middleware]
        assert kinds.count("AsyncIO") == 1
    finally:
        one.close()


def test_without_any_worker_the_reason_is_told(load: Callable[..., Any]) -> None:
    one = load(WITH, "inline")
    try:
        boot(one.broker)
        with pytest.raises(RuntimeError, match="AsyncIO middleware"):
            one.add(1, 2)
    finally:
        one.close()
