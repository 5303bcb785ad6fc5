"""Deadlines: after it no attempt starts and a running one is stopped, wherever the job is; it ends as a dead letter, not lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import dramatiq
import pytest

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import Again
from jobyard.broker.inspector import Job
from jobyard.broker.policy import QueuePolicy
from support.hand import Hand, message
from support.waiting import eventually

StartWorker = Callable[..., Any]
SHORT = 80  # ms


def over(broker: JobyardBroker, milliseconds: int = SHORT, queue: str = "q") -> None:
    """Wait until a deadline of a job that is enqueued by now is over, by the server's clock."""
    began = broker.inspector.stats(queue).now
    eventually(lambda: broker.inspector.stats(queue).now > began + milliseconds)


def turn_over(broker: JobyardBroker, job_id: str) -> None:
    """Let the deadline of a job be over, whatever time that takes elsewhere."""
    key = broker.keys("q")["expires"]
    assert broker.link.command(b"ZADD", key, b"XX", b"CH", 1, f"deadline\0{job_id}", key=key) == 1


def job_of(broker: JobyardBroker, job_id: str) -> Job:
    job = broker.inspector.job(job_id)
    assert job is not None
    return job


def errors_of(broker: JobyardBroker, job_id: str) -> list[str]:
    job = job_of(broker, job_id)
    assert job.state == "dead"
    return [error["error"] for error in job.errors]


@pytest.mark.parametrize("deadline", [SHORT, timedelta(milliseconds=SHORT)])
@pytest.mark.parametrize("delay", [None, 60_000])
def test_a_job_that_waits_past_its_deadline_is_a_dead_letter(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], delay: int | None, deadline: Any
) -> None:
    job_id = send(deadline=deadline, delay=delay)
    over(broker)
    assert hand().fetch(1) == []
    assert errors_of(broker, job_id) == ["DeadlineExceeded"]


def test_a_parked_job_that_waits_past_its_deadline_is_a_dead_letter(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.configure("q", QueuePolicy(key_concurrency=1))
    send(key="k")
    job_id = send(key="k", deadline=60_000)
    worker = hand()
    assert len(worker.fetch(2)) == 1
    assert job_of(broker, job_id).state == "parked"
    turn_over(broker, job_id)
    worker.fetch(1)
    assert errors_of(broker, job_id) == ["DeadlineExceeded"]


def test_none_of_very_many_overdue_jobs_starts(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    broker.enqueue_many([message("q", deadline=SHORT, expires=SHORT) for _ in range(450)])
    over(broker)
    worker = hand()
    for _ in range(6):
        assert worker.fetch(100) == []
    assert broker.inspector.stats("q").dead == 450


def test_a_running_job_is_interrupted_at_its_deadline_and_is_not_retried(
    broker: JobyardBroker, start_worker: StartWorker
) -> None:
    seen: list[str] = []

    @jobyard.actor(queue_name="q", on_dead="heard")
    def long() -> None:
        try:
            while True:
                time.sleep(0.005)
        except jobyard.DeadlineExceeded:
            seen.append("interrupted")
            raise

    @jobyard.actor(queue_name="q")
    def heard(message: dict[str, Any], error: dict[str, str]) -> None:
        seen.append(error["type"])

    start_worker(lease=1.5)
    job_id = long.send_with_options(deadline=1_000).message_id
    eventually(lambda: job_of(broker, job_id).ended)
    assert errors_of(broker, job_id) == ["DeadlineExceeded"]
    assert "long" in job_of(broker, job_id).errors[0]["traceback"]
    eventually(lambda: len(seen) == 2)
    assert seen == ["interrupted", "DeadlineExceeded"]
    assert broker.inspector.stats("q").cancelled == 0


def test_another_worker_that_is_idle_calls_at_the_very_deadline(
    broker: JobyardBroker, start_worker: StartWorker
) -> None:
    entered = threading.Event()

    @jobyard.actor(queue_name="q")
    def long() -> None:
        entered.set()
        while True:
            time.sleep(0.005)

    start_worker(lease=600)  # By itself it would renew after 200 s.
    job_id = long.send_with_options(deadline=3_000).message_id
    assert entered.wait(20)
    start_worker(lease=600)
    eventually(lambda: job_of(broker, job_id).ended)
    assert errors_of(broker, job_id) == ["DeadlineExceeded"]


def test_a_job_that_ends_by_itself_after_all_is_completed(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send(deadline=60_000)
    worker = hand()
    (delivery,) = worker.fetch(1)
    turn_over(broker, job_id)
    assert worker.renew() == ([], [job_id])
    assert delivery.late
    worker.dispatcher.settle(delivery)
    worker.fetch(0)
    assert job_of(broker, job_id).state == "completed"


def test_a_job_whose_worker_is_killed_after_its_deadline_is_dead_and_does_not_run_again(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send(deadline=60_000)
    killed = hand()
    killed.fetch(1)
    turn_over(broker, job_id)
    other = hand()
    assert other.fetch(1) == []  # It asks the first one to stop, which is no more.
    broker.revoke(killed.token, b'{"error":"WorkerKilled","message":""}', started=[job_id])
    assert errors_of(broker, job_id) == ["WorkerKilled", "DeadlineExceeded"]
    assert other.fetch(1) == []


def test_the_same_when_only_its_lease_tells(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send(deadline=60_000)
    hand(lease=0.05).fetch(1)
    turn_over(broker, job_id)
    other = hand(lease=60)
    eventually(lambda: other.fetch(1) == [] and job_of(broker, job_id).state == "dead")
    assert errors_of(broker, job_id)[-1] == "DeadlineExceeded"


def test_a_job_that_is_given_back_after_its_deadline_is_dead(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send(deadline=60_000)
    worker = hand()
    deliveries = worker.fetch(1)
    turn_over(broker, job_id)
    worker.renew()
    worker.dispatcher.give_back(deliveries)
    worker.fetch(0)
    assert errors_of(broker, job_id) == ["DeadlineExceeded"]


@pytest.mark.parametrize("counted", [True, False])
def test_a_retry_that_would_start_after_the_deadline_is_not_waited_for(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], counted: bool
) -> None:
    job_id = send(deadline=30_000)
    worker = hand()
    for delay in (5, 60_000):
        (delivery,) = eventually(lambda: worker.fetch(1))
        delivery.stuff_exception(ValueError("no"))
        delivery.again = Again(delay, counted)
        worker.dispatcher.settle(delivery)
        worker.fetch(0)
    job = job_of(broker, job_id)
    assert errors_of(broker, job_id) == (["ValueError", "ValueError"] if counted else ["DeadlineExceeded"])
    assert job.errors[-1].get("deadline", False) is counted
    assert broker.inspector.explain(job_id).reason == "DeadlineExceeded"


def test_a_cancel_that_came_before_the_deadline_holds(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send(deadline=60_000)
    worker = hand()
    deliveries = worker.fetch(1)
    broker.cancel(job_id)
    turn_over(broker, job_id)
    assert worker.renew() == ([], [job_id])
    assert not deliveries[0].late
    worker.dispatcher.give_back(deliveries)
    worker.fetch(0)
    assert job_of(broker, job_id).state == "cancelled"


def test_a_dead_letter_that_somebody_retries_has_no_deadline_any_more(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send(deadline=60_000)
    worker = hand()
    (delivery,) = worker.fetch(1)
    delivery.stuff_exception(ValueError())
    delivery.fail()
    worker.dispatcher.settle(delivery)
    worker.fetch(0)
    turn_over(broker, job_id)
    broker.dead_letters.retry("q", [job_id])
    assert [one.message_id for one in worker.fetch(1)] == [job_id]


def test_nothing_is_left_of_the_deadline_of_a_forgotten_job(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.configure("q", QueuePolicy(completed=0))
    send(deadline=60_000)
    worker = hand()
    worker.dispatcher.settle(worker.fetch(1)[0])
    worker.fetch(0)
    key = broker.keys("q")["expires"]
    assert broker.link.command(b"ZCARD", key, key=key) == 0


def test_explain_tells_the_deadline(broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]) -> None:
    job_id = send(deadline=60_000)
    assert broker.inspector.explain(job_id).facts["deadline_at"]
    worker = hand()
    worker.fetch(1)
    turn_over(broker, job_id)
    worker.renew()
    explained = broker.inspector.explain(job_id)
    assert (explained.state, explained.reason) == ("active", "DeadlineExceeded")


@pytest.mark.parametrize("wrong", [0, -1, "soon", 30 * 366 * 86_400_000, float("nan")])
def test_a_deadline_that_makes_no_sense_is_refused(send: Callable[..., str], wrong: Any) -> None:
    with pytest.raises(ValueError, match="deadline"):
        send(deadline=wrong)


def test_an_actor_says_the_deadline_of_all_its_jobs(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    @dramatiq.actor(queue_name="q", deadline=timedelta(milliseconds=SHORT))
    def soon() -> None: ...

    job_id = soon.send().message_id
    over(broker)
    assert hand().fetch(1) == []
    assert errors_of(broker, job_id) == ["DeadlineExceeded"]
