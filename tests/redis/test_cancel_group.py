"""Cancelling groups and pipelines as a whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from dramatiq import Message, group, pipeline
from dramatiq.results import ResultFailure

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import FollowUp
from jobyard.broker.envelope import seal
from jobyard.testing import stub_broker
from support.hand import Hand, look_up, message
from support.waiting import eventually


def follow(job: Any, step: Message[Any]) -> None:
    """As Dramatiq's middleware does it."""
    job.follow_ups.append(FollowUp(step.queue_name, step.message_id, seal(step, 5), 5, 0))


def test_all_jobs_of_a_group_and_what_is_in_it_are_cancelled(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    done, waiting, inner, first, second = (
        message("q", job_id=name) for name in ("done", "waiting", "inner", "first", "second")
    )
    broker.enqueue(done)
    worker = hand()
    worker.done(worker.fetch_one())
    some = group([done, waiting, group([inner]), first | second]).run()
    assert jobyard.cancel_group(some) == {
        "done": "completed",
        "waiting": "waiting",
        "inner": "waiting",
        "first": "waiting",
    }
    assert worker.fetch() == []
    assert jobyard.cancel_group(some)["first"] == "cancelled"


@pytest.mark.parametrize("completes", [True, False])
def test_a_step_that_completes_all_the_same_is_the_last_one(
    broker: JobyardBroker, hand: Callable[..., Hand], completes: bool
) -> None:
    pipe = pipeline([message("q", job_id="first"), message("other", job_id="second"), message("q")]).run()
    worker = hand()
    job = worker.fetch_one()
    follow(job, pipe.messages[1])
    found: dict[str, str] = {}
    thread = threading.Thread(target=lambda: found.update(jobyard.cancel_group(pipe, timeout=20_000)))
    thread.start()
    eventually(lambda: look_up(broker, "first").cancelling)
    if completes:
        worker.done(job)
    else:
        job.follow_ups.clear()
        worker.retry(job)
    thread.join(20)
    assert found == ({"first": "active", "second": "waiting"} if completes else {"first": "active"})
    assert broker.inspector.stats("other").waiting == 0
    assert broker.inspector.stats("q").waiting == 0


def test_a_step_that_runs_too_long_is_said_to_be_active(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    pipe = pipeline([message("q", job_id="first"), message("q")]).run()
    worker = hand()
    worker.fetch_one()
    assert jobyard.cancel_group(pipe, timeout=20) == {"first": "active"}


def test_who_waits_for_a_cancelled_pipeline_hears_of_it(broker: JobyardBroker) -> None:
    pipe = pipeline([message("q", job_id="first"), message("q"), message("q")]).run()
    jobyard.cancel_group(pipe)
    with pytest.raises(ResultFailure, match="cancelled"):
        pipe.get_result(block=True, timeout=60_000)


def test_only_jobs_of_a_jobyard_broker_can_be_cancelled() -> None:
    with pytest.raises(TypeError, match="StubBroker"):
        jobyard.cancel_group(group([message("q")], broker=stub_broker()))
