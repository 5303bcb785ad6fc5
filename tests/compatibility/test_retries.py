"""Retries and their options, of actors and of single messages."""

from __future__ import annotations

from typing import Any

import pytest

PROGRAM = "retrying"


def wait_of(program: Any, message: Any) -> float:
    """Seconds from the failure of the first attempt to the second."""
    job = program.delayed(message)
    return (job.due_at - job.errors[-1]["ended_at"]) / 1000


def test_max_retries_and_what_the_message_says_of_them(program: Any, topic: str) -> None:
    job = program.ended(program.fails.send(topic), "dead")
    assert program.notes(topic) == [0, 1, 2]
    assert job.attempts == 3
    assert [(error["attempt"], error["error"], error["message"]) for error in job.errors] == [
        (number, "RuntimeError", "on purpose") for number in (1, 2, 3)
    ]


def test_a_messages_max_retries_holds_instead_of_its_actors(program: Any, topic: str) -> None:
    program.ended(program.fails.send_with_options(args=(topic,), max_retries=0), "dead")
    assert program.notes(topic) == [0]


def test_by_default_the_second_attempt_comes_after_15_to_30_seconds(program: Any, topic: str) -> None:
    assert 15 <= wait_of(program, program.fails_by_default.send(topic)) <= 30


def test_min_backoff(program: Any, topic: str) -> None:
    assert 60 <= wait_of(program, program.fails_patiently.send(topic)) <= 120


def test_min_backoff_and_max_backoff_of_a_message(program: Any, topic: str) -> None:
    send = program.fails_patiently.send_with_options
    assert 5 <= wait_of(program, send(args=(topic,), min_backoff=5_000)) <= 10
    assert 3.5 <= wait_of(program, send(args=(topic,), max_backoff=7_000)) <= 7


def test_without_a_limit_it_is_tried_until_it_succeeds(program: Any, topic: str) -> None:
    message = program.succeeds_at_the.send(topic, 30)
    assert program.ended(message).attempts == 30
    assert message.get_result() == "at last"


@pytest.mark.parametrize(("kind", "noted"), [("connection", [0, 1, 2]), ("value", [0])])
def test_retry_when_decides_alone(program: Any, topic: str, kind: str, noted: list[int]) -> None:
    program.ended(program.asks_whether.send(topic, kind), "dead")
    assert program.notes(topic) == noted


def test_what_an_actor_throws_is_not_retried(program: Any, topic: str) -> None:
    program.ended(program.throws.send(topic, "expected"), "dead")
    assert program.notes(topic) == [0]
    program.ended(program.throws.send_with_options(args=(topic, "unexpected"), max_retries=1), "dead")
    assert program.notes(topic) == [0, 0, 1]


def test_on_retry_exhausted_of_an_actor(program: Any, topic: str) -> None:
    program.is_mourned.send(topic)
    info = {"retries": 1, "max_retries": 1}
    assert program.notes(topic, 3) == [0, 1, ["is_mourned", 2, "RuntimeError: on purpose", info]]


def test_on_retry_exhausted_of_a_message(program: Any, topic: str) -> None:
    program.fails.send_with_options(args=(topic,), max_retries=0, on_retry_exhausted="mourn")
    info = {"retries": 0, "max_retries": 0}
    assert program.notes(topic, 2) == [0, ["fails", 1, "RuntimeError: on purpose", info]]


def test_on_retry_exhausted_does_not_hear_of_what_was_thrown(program: Any, topic: str) -> None:
    message = program.throws.send_with_options(args=(topic, "expected"), on_retry_exhausted="mourn")
    program.ended(message, "dead")
    # Both of these would have been accepted by the same call that ended the job.
    assert program.broker.inspector.stats("default").waiting == 0
    assert program.notes(topic) == [0]


def test_retry_with_a_delay(program: Any, topic: str) -> None:
    assert wait_of(program, program.asks_for_another_time.send(topic, 40_000)) == pytest.approx(40, abs=0.05)


def test_retry_uses_attempts_and_is_no_failure_in_the_end(program: Any, topic: str) -> None:
    message = program.asks_for_another_time.send(topic, 5)
    assert message.get_result(block=True) == "now"
    assert program.notes(topic) == [0, 1, 2]
