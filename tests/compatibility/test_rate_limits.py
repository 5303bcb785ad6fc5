"""Dramatiq's rate limiters inside of jobs. A limited job is a failed attempt there, and so it is here."""

from __future__ import annotations

from typing import Any

import pytest

PROGRAM = "limiting"


def test_one_at_a_time(program: Any, topic: str) -> None:
    messages = [program.one_at_a_time.send(topic) for _ in range(6)]
    for message in messages:
        program.ended(message)
    assert program.notes(topic) == ["in", "out"] * 6


@pytest.mark.parametrize("actor", ["two_in_a_bucket", "two_in_a_window"])
def test_so_many_in_a_time(program: Any, topic: str, actor: str) -> None:
    send = getattr(program, actor).send
    for _ in range(2):
        assert send(topic).get_result(block=True) == "passed"
    job = program.ended(send(topic), "dead")
    assert job.errors[-1]["error"] == "RateLimitExceeded"


def test_a_job_may_ask_without_failing(program: Any, topic: str) -> None:
    assert program.asks_politely.send(topic).get_result(block=True) == "passed"
    assert program.asks_politely.send(topic).get_result(block=True) == "another time"
