"""Results in our own backend, by Dramatiq's interface."""

from __future__ import annotations

import time
from typing import Any

import pytest
from dramatiq.results import ResultFailure, ResultMissing, ResultTimeout

PROGRAM = "resulting"


@pytest.mark.parametrize("value", [0, "", [], {"a": [1, 2.5, None, "ü"]}, None, False, 2**70])
def test_a_result_arrives_as_it_was_returned(program: Any, value: Any) -> None:
    assert program.echo.send(value).get_result(block=True) == value


def test_results_are_there_without_being_asked_for(program: Any) -> None:
    assert program.says_nothing_of_results.send(5).get_result(block=True) == 5


@pytest.mark.parametrize("how", ["by the actor", "by the message"])
def test_a_value_that_shall_not_be_stored_is_not(program: Any, how: str) -> None:
    if how == "by the actor":
        message = program.wants_none_stored.send(5)
    else:
        message = program.echo.send_with_options(args=(5,), store_results=False)
    # Here we differ: that the job is completed is known, and so there is no ResultMissing.
    assert message.get_result(block=True) is None
    assert program.job(message).encoded_result is None


def test_a_message_may_ask_for_what_its_actor_does_not_store(program: Any) -> None:
    assert program.wants_none_stored.send_with_options(args=(5,), store_results=True).get_result(block=True) == 5


def test_a_result_that_is_not_there_yet(program: Any) -> None:
    message = program.echo.send_with_options(args=(1,), delay=60_000)
    with pytest.raises(ResultMissing):
        message.get_result()
    began = time.monotonic()
    with pytest.raises(ResultTimeout):
        message.get_result(block=True, timeout=100)
    assert 0.1 <= time.monotonic() - began < 2
    program.broker.cancel(message.message_id)
    with pytest.raises(ResultFailure, match="job was cancelled"):
        message.get_result()


def test_a_result_of_a_job_that_was_never_sent(program: Any) -> None:
    message = program.echo.message(1)
    with pytest.raises(ResultMissing):
        message.get_result()
    with pytest.raises(ResultTimeout):
        message.get_result(block=True, timeout=50)
    assert not program.broker.client.exists(program.broker.keys("default")["waiting"])


def test_a_failure_is_told_with_its_type_and_text(program: Any) -> None:
    with pytest.raises(ResultFailure, match=r"^actor raised LookupError: nowhere$") as caught:
        program.fails.send("nowhere").get_result(block=True)
    assert caught.value.orig_exc_type == "LookupError"
    assert caught.value.orig_exc_msg == "nowhere"


def test_an_explicit_backend(program: Any) -> None:
    backend = program.broker.get_results_backend()
    assert program.echo.send(3).get_result(backend=backend, block=True) == 3


def test_what_can_not_be_stored_is_a_dead_letter_where_it_was_to_be_stored(program: Any) -> None:
    job = program.ended(program.returns_an_object.send(), "dead")
    assert job.errors[-1]["message"] == "Object of type object is not JSON serializable"
    message = program.returns_bytes.send(1_200_000)
    assert "has 1200002 bytes, more than the 1048576" in program.ended(message, "dead").errors[-1]["message"]
    assert program.returns_bytes.send(500_000).get_result(block=True) == "x" * 500_000


def test_what_can_not_be_stored_and_nobody_asked_for_completes_the_job(program: Any) -> None:
    for message, error in (
        (program.returns_an_object_that_nobody_asked_for.send(), "TypeError: Object of type object"),
        (program.returns_bytes_that_nobody_asked_for.send(1_200_000), "ValueError: the result of"),
    ):
        program.ended(message)
        with pytest.raises(ResultFailure, match=error):
            message.get_result()


def test_a_job_may_wait_for_another_ones_result(program: Any, topic: str) -> None:
    if program.engine == "inline":
        pytest.skip("one thread can't run the job that it waits for")
    program.waits_for_another.send(topic, 7)
    assert program.notes(topic, 1) == [7]


def test_a_long_result_ttl_is_honoured_by_the_queue(program: Any) -> None:
    assert program.is_kept_for_a_week.send().get_result(block=True) == "kept"
    program.is_kept_for_a_minute.send().get_result(block=True)

    def kept_for(queue: str) -> int | None:
        ttl: int | None = program.broker.inspector.stats(queue).policy.completed_ttl
        return ttl

    program.eventually(lambda: kept_for("kept_for_long") == 7 * 86_400_000, what="the policy says a week")
    assert kept_for("kept_for_short") is None
