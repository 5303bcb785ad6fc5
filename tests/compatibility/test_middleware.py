"""Middleware of an application: which hooks are called, when, and with what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

PROGRAM = "watching"

STARTED = [["first.before_process_message", "blue"], "second.before_process_message", "ran"]
ACKNOWLEDGED = ["first.before_ack", "first.after_ack"]
BURIED = [["first.before_nack", True], ["first.after_nack", True]]


def without_sending(notes: list[Any], delay: int | None) -> list[Any]:
    """The notes without those of the process that sent the job, whose last one may come at any time."""
    sending = [["first.before_enqueue", delay], ["first.after_enqueue", delay]]
    assert [one for one in notes if one in sending] == sending
    return [one for one in notes if one not in sending]


def ended(result: str | None, error: str | None, *, failed: bool, retries: int | None, again: bool) -> list[Any]:
    """After-hooks are called in reverse; between `first` and `third` stand the retries."""
    return [
        "second.after_process_message",
        ["first.after_process_message", result, error],
        *(["again"] if again else []),
        ["third.after_process_message", failed, retries],
    ]


def without_third_before(notes: list[Any]) -> list[Any]:
    return [one for one in notes if one != "third.before_process_message"]


def test_a_job_that_succeeds(program: Any, topic: str) -> None:
    message = program.is_watched.send(topic=topic)
    program.ended(message)
    assert without_sending(program.notes(topic, 11), None) == [
        "third.before_process_message",
        *STARTED,
        *ended("result", None, failed=False, retries=None, again=False),
        *ACKNOWLEDGED,
    ]


def test_a_job_that_fails_twice(program: Any, topic: str) -> None:
    message = program.is_watched.send_with_options(kwargs={"topic": topic, "fails": 1}, delay=20)
    program.ended(message, "dead")
    notes = without_sending(without_third_before(program.notes(topic, 22)), 20)
    error = "RuntimeError('on purpose')"
    retry = [one for one in notes if isinstance(one, list) and one[0].endswith("enqueue")]
    assert [name for name, _ in retry] == ["first.before_enqueue", "first.after_enqueue"]
    assert all(50 <= delay <= 100 for _, delay in retry)
    first_end = ended(None, error, failed=False, retries=1, again=True)
    at = first_end.index("again")
    assert notes == [
        *STARTED,
        *first_end[:at],
        *retry,
        *first_end[at + 1 :],
        *ACKNOWLEDGED,
        *STARTED,
        *ended(None, error, failed=True, retries=2, again=False),
        *BURIED,
    ]


def test_a_job_that_is_skipped(program: Any, topic: str) -> None:
    message = program.is_watched.message_with_options(kwargs={"topic": topic}, max_age=1).copy(message_timestamp=1)
    program.broker.enqueue(message)
    program.ended(message, "dead")
    # The age limit stands before all of these, so that only the after-hooks are called.
    assert without_sending(program.notes(topic, 5), None) == ["first.after_skip_message", *BURIED]


def test_hooks_of_declaring(program: Any) -> None:
    mine = [entry for entry in program.happened if "declare" in entry[1]]
    assert mine == [
        ("first", "before_declare_actor", "is_watched", False),
        ("first", "before_declare_queue", "watched", False),
        ("first", "after_declare_queue", "watched", True),
        ("first", "after_declare_actor", "is_watched", True),
        ("late", "after_declare_actor", "is_watched"),
        ("late", "after_declare_queue", "watched"),
    ]


def test_hooks_of_the_process(load: Callable[..., Any], engine: str) -> None:
    one = load("watching", engine)
    threads = 1 if engine == "inline" else 4
    try:
        one.start()
        assert one.is_watched.send(topic="any").get_result(block=True) == "result"
        one.eventually(lambda: "after_worker_boot" in one.notes("process first"), what="it is up")
        one.stop()
        hooks = one.notes("process first")
    finally:
        one.close()
    assert hooks[:2] == ["after_process_boot", "before_worker_boot"]
    assert hooks[-1] == "after_worker_shutdown"
    stops = hooks.index("before_worker_shutdown")
    assert hooks.index("after_worker_boot") < stops
    assert hooks[:stops].count("after_worker_thread_boot") == threads
    assert hooks[stops:].count("before_worker_thread_shutdown") == threads
    assert hooks[:stops].count("after_consumer_thread_boot") == 1
    assert hooks[stops:].count("before_consumer_thread_shutdown") == 1


def test_forks_run_beside_dramatiqs_own_worker(program: Any) -> None:
    if program.engine == "dramatiq":
        assert program.notes("fork", 1) == [True]
    else:
        assert [fork.__name__ for one in program.broker.middleware for fork in one.forks] == ["in_a_fork"]


def test_an_option_that_no_middleware_knows_is_refused(program: Any) -> None:
    with pytest.raises(ValueError, match="The following actor options are undefined: colour"):
        dramatiq.actor(colour="blue", broker=program.broker)(lambda: None)
