"""Dramatiq's own Redis backend for results replaces ours, with all that it does differently."""

from __future__ import annotations

import time
from typing import Any

import pytest
from dramatiq import group
from dramatiq.results import ResultFailure, ResultMissing, Results

PROGRAM = "foreign_results"


def test_results_lie_in_dramatiqs_backend_for_as_long_as_it_says(program: Any) -> None:
    message = program.echo.send({"a": 1})
    assert message.get_result(block=True) == {"a": 1}
    assert program.ended(message).encoded_result is None
    left = program.backend.client.pttl(program.backend.build_message_key(message))
    assert 20_000 < left <= 30_000


def test_what_is_not_to_be_stored_is_missing(program: Any) -> None:
    message = program.says_nothing_of_results.send(1)
    program.ended(message)
    with pytest.raises(ResultMissing):
        message.get_result()


def test_a_failure_is_stored_when_there_is_no_further_attempt(program: Any) -> None:
    message = program.fails.send()
    with pytest.raises(ResultFailure, match="actor raised LookupError: nowhere"):
        message.get_result(block=True)
    assert program.ended(message, "dead").attempts == 2


def test_a_job_that_is_too_old_has_a_failure_for_a_result(program: Any) -> None:
    message = program.is_stale.message().copy(message_timestamp=int(time.time() * 1000) - 10)
    program.broker.enqueue(message)
    with pytest.raises(ResultFailure, match="actor raised SkipMessage: Message age limit exceeded"):
        message.get_result(block=True)


def test_pipelines_and_groups_read_from_it(program: Any) -> None:
    some = group([program.echo.message(1) | program.says_nothing_of_results.message() | program.echo.message()]).run()
    assert list(some.get_results(block=True)) == [1]
    (pipe,) = some.children
    # The step in the middle stores nothing, and so it doesn't count: Dramatiq's way.
    assert pipe.completed_count == 1
    with pytest.raises(ResultMissing):
        list(pipe.get_results())


def test_there_is_one_results_middleware(program: Any) -> None:
    (results,) = [one for one in program.broker.middleware if isinstance(one, Results)]
    assert results.backend is program.backend
    assert program.broker.get_results_backend() is program.backend
