"""Time limits and age limits, of actors and of single messages."""

from __future__ import annotations

import time
from typing import Any

PROGRAM = "limits"


def test_time_limit(program: Any, topic: str) -> None:
    job = program.ended(program.has_little_time.send(topic), "dead")
    assert program.notes(topic) == ["began", "TimeLimitExceeded"]
    assert job.errors[-1]["error"] == "TimeLimitExceeded"


def test_a_messages_time_limit_holds_instead_of_its_actors(program: Any, topic: str) -> None:
    program.ended(program.has_ten_minutes.send_with_options(args=(topic,), time_limit=50), "dead")
    assert program.notes(topic) == ["began", "TimeLimitExceeded"]


def test_a_job_may_catch_its_time_limit_and_complete(program: Any, topic: str) -> None:
    message = program.makes_the_best_of_it.send(topic)
    assert message.get_result(block=True) == "a part of it"


def test_exceeding_a_time_limit_is_a_failure_like_any_other(program: Any, topic: str) -> None:
    message = program.is_faster_the_second_time.send(topic)
    assert message.get_result(block=True) == "fast"
    assert program.job(message).attempts == 2


def test_an_infinite_time_limit(program: Any, topic: str) -> None:
    assert program.has_all_the_time.send(topic).get_result(block=True) == "done"


def test_max_age_makes_a_dead_letter_without_running(program: Any, topic: str) -> None:
    fresh = program.is_soon_stale.send(topic)
    program.ended(fresh)
    message = program.is_soon_stale.message(topic)
    stale = message.copy(message_timestamp=int(time.time() * 1000) - 30_000)
    program.broker.enqueue(stale)
    job = program.ended(stale, "dead")
    assert job.errors[-1]["message"] == "Message age limit exceeded"
    assert program.notes(topic) == ["ran"]


def test_max_age_of_a_message_counts_its_delay(program: Any, topic: str) -> None:
    program.ended(program.is_never_stale.send_with_options(args=(topic,), max_age=20, delay=60), "dead")
    program.ended(program.is_never_stale.send_with_options(args=(topic,), max_age=60_000, delay=60))
    assert program.notes(topic) == ["ran"]


def test_a_delayed_job_right_after_another_one_starts_in_time(program: Any, topic: str) -> None:
    """Its worker had just been awake for the first, and must not be taken for one that still waits."""
    for _ in range(4):
        began = time.monotonic()
        program.ended(program.is_never_stale.send_with_options(args=(topic,), delay=60))
        assert time.monotonic() - began < 2.5


def test_a_senseless_time_limit_fails_the_job_and_harms_no_worker(program: Any, topic: str) -> None:
    # Dramatiq runs such a job without a limit and logs an error; ours does not run it.
    send = program.has_all_the_time.send_with_options
    message = send(args=(topic,), time_limit="soon", max_retries=0)
    expected = "completed" if program.engine == "dramatiq" else "dead"
    program.ended(message, expected)
    assert program.has_all_the_time.send(topic).get_result(block=True) == "done"
