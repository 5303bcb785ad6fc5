"""Jobs and middleware that enqueue. What follows from a job is accepted together with its end."""

from __future__ import annotations

from typing import Any

from dramatiq import Message

PROGRAM = "requeueing"


def test_a_middleware_that_enqueues_the_failed_job_again_uses_no_attempt(program: Any, topic: str) -> None:
    message = program.is_limited.send(topic)
    assert message.get_result(block=True) == "retries: 0"
    assert program.job(message).attempts == 1


def test_a_middleware_that_enqueues_a_job_which_has_failed_for_good_keeps_it_alive(program: Any, topic: str) -> None:
    message = program.is_given_another_chance.send(topic)
    assert message.get_result(block=True) == "at last"
    assert program.job(message).errors[0]["error"] == "RuntimeError"


def test_a_job_that_sends_itself_and_fails_runs_again_nevertheless(program: Any, topic: str) -> None:
    message = program.sends_itself_and_fails.send(topic)
    assert message.get_result(block=True) == "the second time"


def test_a_middleware_may_run_a_job_again_as_often_as_it_likes(program: Any, topic: str) -> None:
    message = program.works.send_with_options(args=(topic,), repeat=40)
    job = program.ended(message)
    assert program.notes(topic) == ["ran"] * 40
    # Not one of these used an attempt: there are only 21.
    assert job.attempts == 1
    assert job.errors == []


def test_a_job_may_send_itself_again_from_within(program: Any, topic: str) -> None:
    message = program.sends_itself_again.send(topic, 30)
    assert message.get_result(block=True) == "step 30"
    assert program.notes(topic) == list(range(1, 31))
    assert program.job(message).attempts == 1


def test_what_a_middleware_sends_is_sent_and_what_it_can_not_send_does_not_matter(program: Any, topic: str) -> None:
    assert program.works.send_with_options(args=(topic,), audited=topic).get_result(block=True) == "done"
    assert program.notes(topic, 2) == ["ran", ["audited", "works"]]
    program.ended(program.fails.send_with_options(args=(topic,), audited=topic), "dead")
    assert program.notes(topic, 3)[2] == ["audited", "fails"]


def test_sending_the_same_message_again_changes_nothing(program: Any, topic: str) -> None:
    """Here we differ: Dramatiq would run it twice, also when only its reply to the first call was lost."""
    message = program.works.message(topic)
    for _ in range(2):
        program.broker.enqueue(message)
    program.ended(message)
    program.broker.enqueue(message)
    program.broker.join("default")
    assert program.notes(topic) == ["ran"]
    again = message.copy(message_id="another-" + topic)
    program.broker.enqueue(again)
    program.ended(again)
    assert program.notes(topic) == ["ran", "ran"]


def test_a_message_that_was_sent_as_a_dict_can_be_made_again(program: Any, topic: str) -> None:
    data = program.works.message(topic).asdict()
    program.broker.enqueue(Message(**data))
    program.ended(Message(**data))
    assert program.notes(topic) == ["ran"]
