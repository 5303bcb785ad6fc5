"""`on_success` and `on_failure`, of actors and of single messages."""

from __future__ import annotations

from typing import Any

import pytest
from dramatiq.results import ResultFailure

PROGRAM = "callbacks"
BY_ZERO = {"type": "ZeroDivisionError", "message": "division by zero"}


def test_on_success(program: Any, topic: str) -> None:
    message = program.divides.send(topic, 2)
    assert program.notes(topic, 1) == [["succeeded", message.message_id, 3.0]]


def test_on_failure_hears_of_each_failed_attempt(program: Any, topic: str) -> None:
    program.divides.send(topic, 0)
    assert program.notes(topic, 2) == [["failed", 1, BY_ZERO], ["failed", 2, BY_ZERO]]


@pytest.mark.parametrize("given", ["as an actor", "by name"])
def test_callbacks_of_a_message(program: Any, topic: str, given: str) -> None:
    succeeded, failed = program.succeeded, program.failed
    if given == "by name":
        succeeded, failed = succeeded.actor_name, failed.actor_name
    send = program.says_nothing.send_with_options
    good = send(args=(topic, 3), on_success=succeeded, on_failure=failed)
    assert program.notes(topic, 1) == [["succeeded", good.message_id, 2.0]]
    send(args=(topic, 0), on_success=succeeded, on_failure=failed)
    assert program.notes(topic, 2)[1] == ["failed", 1, BY_ZERO]


def test_what_is_no_callback_is_refused_when_it_is_sent(program: Any, topic: str) -> None:
    with pytest.raises(TypeError, match="on_success value must be an Actor"):
        program.says_nothing.send_with_options(args=(topic, 3), on_success=3)


def test_on_failure_hears_of_what_is_thrown(program: Any, topic: str) -> None:
    program.throws.send(topic)
    assert program.notes(topic, 1) == [["failed", None, {"type": "ValueError", "message": "expected"}]]


def test_a_callback_that_nobody_knows_takes_nothing_from_the_job(program: Any, topic: str) -> None:
    assert program.calls_nobody.send(topic).get_result(block=True) == "done"


def test_a_result_that_no_callback_can_be_sent_takes_nothing_from_the_job(program: Any, topic: str) -> None:
    message = program.returns_what_no_message_can_hold.send(topic)
    program.ended(message)
    assert program.notes(topic) == []
    # Nobody asked for the result to be stored, so that the job is completed; whoever asks for it hears why it isn't there.
    with pytest.raises(ResultFailure, match="TypeError: Object of type object is not JSON serializable"):
        message.get_result()
