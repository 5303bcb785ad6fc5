"""A broker with a list of middleware of the application's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import Pipelines, Retries

from jobyard.broker import JobyardBroker
from jobyard.middleware import JobRetries

PROGRAM = "own_middleware"


def test_retries_of_ones_own_count_as_they_do_under_dramatiq(program: Any, topic: str) -> None:
    job = program.ended(program.fails.send(topic), "dead")
    assert program.notes(topic) == [0, 1, 2]
    assert job.attempts == 3
    assert [error["error"] for error in job.errors] == ["RuntimeError"] * 3


def test_what_they_write_into_the_message_stays_there(program: Any, topic: str) -> None:
    assert program.is_refused.send(topic, 30).get_result(block=True) == 30


def test_the_time_limit_of_the_list_holds(program: Any) -> None:
    job = program.ended(program.dawdles.send(), "dead")
    assert job.errors[-1]["error"] == "TimeLimitExceeded"


def test_a_time_limit_ends_with_the_job_and_not_with_what_comes_after_it(program: Any, topic: str) -> None:
    """In Dramatiq the clock runs on, and such a job would be taken for one that exceeded its limit."""
    message = program.is_done_at_once.send_with_options(args=(topic,), take_your_time=True)
    assert message.get_result(block=True) == "done"
    assert program.notes(topic) == ["ran"]


def test_results_are_kept_although_the_list_names_none(program: Any) -> None:
    assert [type(one).__name__ for one in program.broker.middleware] == [
        "AgeLimit", "TimeLimit", "Callbacks", "Pipelines", "CurrentMessage", "TakesItsTime", "Stubborn",
        "Results", "ResultLifetimes",
    ]  # fmt: skip


def test_dramatiqs_retries_are_replaced_by_ours_with_the_same_settings(
    make_broker: Callable[..., JobyardBroker],
) -> None:
    def when(retries: int, exception: BaseException) -> bool:
        return False

    retries = Retries(max_retries=7, min_backoff=8, max_backoff=9, retry_when=when)
    broker = make_broker("redis://127.0.0.1:1", middleware=[Pipelines(), retries])
    ours = broker.middleware[1]
    assert isinstance(ours, JobRetries)
    assert (ours.max_retries, ours.min_backoff, ours.max_backoff, ours.retry_when) == (7, 8, 9, when)
    broker.add_middleware(Retries(max_retries=1), before=Pipelines)
    assert [type(one).__name__ for one in broker.middleware[:2]] == ["JobRetries", "Pipelines"]
    assert broker.middleware[0].max_retries == 1


def test_a_middleware_that_has_no_place_changes_nothing(make_broker: Callable[..., JobyardBroker]) -> None:
    broker = make_broker("redis://127.0.0.1:1")
    before = list(broker.middleware)
    with pytest.raises(ValueError, match="not found"):
        broker.add_middleware(Retries(), after=dramatiq.middleware.AsyncIO)
    assert broker.middleware == before


@pytest.mark.parametrize("name", ["host", "port", "db", "client", "heartbeat_timeout", "dead_message_ttl"])
def test_what_only_dramatiqs_redis_broker_takes_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(TypeError, match=f"JobyardBroker takes no '{name}', unlike Dramatiq's RedisBroker: "):
        JobyardBroker("redis://127.0.0.1:1", **{name: 1})
