"""Middleware that raises, and actors that raise what they shouldn't: no job is lost, and no worker ends."""

from __future__ import annotations

from typing import Any

import pytest

PROGRAM = "breaking"


@pytest.fixture(autouse=True)
def still_works_afterwards(program: Any, topic: str) -> Any:
    """Whatever happened, the worker runs the next jobs, on each of its threads."""
    yield
    messages = [program.works.send(topic) for _ in range(8)]
    for message in messages:
        assert message.get_result(block=True) == "result"


def send(program: Any, topic: str, hook: str, by: str, **options: Any) -> Any:
    return program.works.send_with_options(args=(topic,), break_in=hook, by=by, **options)


@pytest.mark.parametrize("hook", ["before_process_message", "after_process_message", "before_ack", "after_ack"])
def test_a_bug_in_a_middleware_takes_nothing_from_the_job(program: Any, topic: str, hook: str) -> None:
    message = send(program, topic, hook, "error")
    assert message.get_result(block=True) == "result"
    assert program.notes(topic) == ["ran"]
    assert program.notes(message.message_id) == ["before", ["after", "result", "NoneType"]]


@pytest.mark.parametrize("hook", ["before_nack", "after_nack"])
def test_a_bug_while_a_job_is_buried(program: Any, topic: str, hook: str) -> None:
    program.ended(send(program, topic, hook, "error", fail_it=True), "dead")
    assert program.notes(topic) == []


def test_a_bug_after_enqueue_takes_nothing_from_the_job(program: Any, topic: str) -> None:
    assert send(program, topic, "after_enqueue", "error").get_result(block=True) == "result"
    assert send(program, topic, "before_enqueue", "error").get_result(block=True) == "result"


def test_a_middleware_may_forbid_to_enqueue(program: Any, topic: str) -> None:
    with pytest.raises(program.VetoError):
        send(program, topic, "before_enqueue", "veto")
    assert program.broker.inspector.stats("default").waiting == 0
    assert program.notes(topic) == []


def test_a_middleware_may_fail_a_job_before_it_runs(program: Any, topic: str) -> None:
    """A MiddlewareError is the job's failure, and so it is tried again."""
    message = send(program, topic, "before_process_message", "veto")
    assert message.get_result(block=True) == "result"
    assert program.job(message).errors[0]["error"] == "VetoError"
    assert program.notes(message.message_id) == [
        "before",
        ["after", None, "VetoError"],
        "before",
        ["after", "result", "NoneType"],
    ]


def test_even_system_exit_in_a_middleware_is_the_jobs_failure_only(program: Any, topic: str) -> None:
    message = send(program, topic, "before_process_message", "exit")
    assert message.get_result(block=True) == "result"
    assert program.job(message).errors[0]["error"] == "SystemExit"


def test_a_skipped_job_is_completed_without_having_run(program: Any, topic: str) -> None:
    message = send(program, topic, "before_process_message", "skip")
    assert message.get_result(block=True) is None
    assert program.notes(topic) == []
    assert program.notes(message.message_id) == ["before", "skipped"]


def test_a_skipped_job_that_was_failed_is_a_dead_letter(program: Any, topic: str) -> None:
    message = send(program, topic, "before_process_message", "skip", fail_it=True)
    job = program.ended(message, "dead")
    assert job.errors[-1]["message"] == "not this one"
    assert program.notes(topic) == []
    assert program.notes(message.message_id, 3) == ["before", "skipped", "rejected"]


def test_a_failed_job_is_not_run_but_its_after_hooks_are(program: Any, topic: str) -> None:
    message = program.works.send_with_options(args=(topic,), fail_it=True)
    program.ended(message, "dead")
    assert program.notes(topic) == []
    assert program.notes(message.message_id, 3) == ["before", ["after", None, "NoneType"], "rejected"]


@pytest.mark.parametrize(("kind", "error"), [("exit", "SystemExit"), ("ctrl-c", "KeyboardInterrupt")])
def test_whatever_an_actor_raises_is_its_failure(program: Any, kind: str, error: str) -> None:
    job = program.ended(program.raises.send(kind), "dead")
    assert job.errors[-1]["error"] == error


def test_an_actor_may_skip_itself(program: Any) -> None:
    message = program.raises.send("skip")
    assert message.get_result(block=True) is None
    assert program.notes(message.message_id) == ["before", "skipped"]


def test_an_exception_that_can_not_say_what_it_is(program: Any) -> None:
    job = program.ended(program.raises.send("text"), "dead")
    assert job.errors[-1]["error"] == "Odd"


def test_system_exit_after_a_job_ends_no_thread(program: Any, topic: str) -> None:
    for hook in ("after_process_message", "before_ack", "after_ack"):
        assert send(program, topic, hook, "exit").get_result(block=True) == "result"
