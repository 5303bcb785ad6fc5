"""A job that says how often it gives a sign of life is interrupted when it doesn't."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import dramatiq
import pytest

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.worker.worker import JobyardWorker
from support.hand import look_up, message
from support.waiting import eventually


def errors(broker: JobyardBroker, job_id: str) -> list[str]:
    eventually(lambda: look_up(broker, job_id).ended, 20)
    return [one["error"] for one in look_up(broker, job_id).errors]


def hang() -> None:
    while True:
        time.sleep(0.005)


def test_a_job_that_hangs_is_interrupted_and_tried_again(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    attempts = []

    @dramatiq.actor(queue_name="q", heartbeat_timeout=100, min_backoff=1, max_retries=3)
    def work() -> None:
        attempts.append(jobyard.current_job())
        if len(attempts) == 1:
            hang()

    start_worker()
    sent = work.send().message_id
    assert errors(broker, sent) == ["HeartbeatTimeout"]
    assert look_up(broker, sent).state == "completed"
    assert len(attempts) == 2


@pytest.mark.parametrize("sign", ["heartbeat", "progress", "log"])
def test_any_sign_of_life_keeps_a_long_job_going(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], sign: str
) -> None:
    signs: dict[str, Callable[[], None]] = {
        "heartbeat": jobyard.heartbeat,
        "progress": lambda: jobyard.report_progress(1),
        "log": lambda: jobyard.log("still here"),
    }

    # So long that a busy machine doesn't let the job miss it; the job takes longer.
    @dramatiq.actor(queue_name="q", heartbeat_timeout=1000, max_retries=0)
    def work() -> None:
        until = time.monotonic() + 1.3
        while time.monotonic() < until:
            time.sleep(0.005)
            signs[sign]()

    start_worker()
    assert errors(broker, work.send().message_id) == []


def test_an_async_job_is_watched_as_well(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    @dramatiq.actor(queue_name="q", heartbeat_timeout=100, max_retries=0)
    async def work() -> None:
        await asyncio.sleep(60)

    start_worker()
    assert errors(broker, work.send().message_id) == ["HeartbeatTimeout"]


def test_what_comes_first_counts(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    @dramatiq.actor(queue_name="q", max_retries=0)
    def work() -> None:
        hang()

    start_worker(threads=2)
    limited = work.send_with_options(heartbeat_timeout=60_000, time_limit=50).message_id
    silent = work.send_with_options(heartbeat_timeout=timedelta(milliseconds=50), time_limit=60_000).message_id
    assert errors(broker, limited) == ["TimeLimitExceeded"]
    assert errors(broker, silent) == ["HeartbeatTimeout"]


def test_the_next_job_of_the_same_thread_is_not_watched(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q", max_retries=0)
    def work(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.005)

    start_worker()
    first = work.send_with_options(args=(60,), heartbeat_timeout=50).message_id
    second = work.send(0.4).message_id
    assert errors(broker, first) == ["HeartbeatTimeout"]
    assert errors(broker, second) == []


@pytest.mark.parametrize("wrong", [0, -1, "soon", float("nan")])
def test_a_senseless_timeout_is_refused(broker: JobyardBroker, wrong: object) -> None:
    with pytest.raises(ValueError, match="heartbeat_timeout is a number of milliseconds"):
        broker.enqueue(message("q", heartbeat_timeout=wrong))


def test_outside_a_job_nothing_happens() -> None:
    jobyard.heartbeat()
