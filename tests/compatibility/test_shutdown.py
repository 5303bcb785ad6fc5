"""What a stopping worker does to running jobs: `notify_shutdown`, and what it leaves for the next worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def program(load: Callable[..., Any], engine: str) -> Iterator[Any]:
    one = load("limits", engine)
    try:
        one.start()
        yield one
    finally:
        one.close()


def test_a_job_that_wants_notice_is_interrupted_and_runs_again_without_losing_an_attempt(
    program: Any, topic: str
) -> None:
    message = program.wants_notice.send(topic)
    assert program.notes(topic, 1) == ["began"]
    program.stop()
    assert program.notes(topic) == ["began", "Shutdown"]
    job = program.job(message)
    assert (job.state, job.attempts) == ("waiting", 0)
    program.start()
    assert message.get_result(block=True, timeout=20_000) == "went on"
    assert program.job(message).attempts == 1


def test_a_messages_notify_shutdown_holds_instead_of_its_actors(program: Any, topic: str) -> None:
    message = program.has_ten_minutes.send_with_options(args=(topic,), notify_shutdown=True)
    assert program.notes(topic, 1) == ["began"]
    program.stop()
    assert program.notes(topic) == ["began", "Shutdown"]
    assert program.job(message).state == "waiting"


def test_a_job_may_catch_the_notice_and_complete(program: Any, topic: str) -> None:
    message = program.cleans_up.send(topic)
    program.notes(topic, 1)
    program.stop()
    assert message.get_result() == "cleaned up"


def test_other_jobs_are_finished_before_the_worker_ends(program: Any, topic: str) -> None:
    message = program.finishes_first.send(topic)
    program.notes(topic, 1)
    program.stop()
    assert program.notes(topic) == ["began", "ended"]
    assert message.get_result() == "finished"
