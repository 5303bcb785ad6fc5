"""Cancelling jobs, wherever they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.context import current_job
from jobyard.errors import Cancelled
from jobyard.worker.worker import JobyardWorker
from support.hand import Hand, look_up, message
from support.waiting import eventually


@pytest.mark.parametrize(("delay", "state"), [(None, "waiting"), (60_000, "delayed")])
def test_a_job_that_has_not_started_is_cancelled_at_once(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], delay: int | None, state: str
) -> None:
    job_id, other = send(delay=delay), send()
    assert broker.cancel(job_id) == state
    job = look_up(broker, job_id)
    assert (job.state, job.attempts, job.ended) == ("cancelled", 0, True)
    assert hand().ids(9) == [other]
    assert broker.inspector.stats("q").cancelled == 1


@pytest.mark.parametrize("state", ["dead", "completed", "cancelled"])
def test_a_job_that_has_ended_is_left_alone(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], state: str
) -> None:
    job_id = send()
    worker = hand()
    if state == "cancelled":
        broker.cancel(job_id)
    elif state == "dead":
        worker.bury(worker.fetch_one())
    else:
        worker.done(worker.fetch_one())
    assert broker.cancel(job_id) == state
    assert look_up(broker, job_id).state == state


def test_an_unknown_job_is_unknown(broker: JobyardBroker, send: Callable[..., str]) -> None:
    send()
    assert broker.cancel("nothing") == "unknown"
    assert broker.cancel("nothing", queue="q") == "unknown"


def test_the_queue_of_a_job_need_not_be_known(broker: JobyardBroker, send: Callable[..., str]) -> None:
    send("a")
    job_id = send("b")
    assert broker.cancel(job_id) == "waiting"


def test_a_running_job_is_interrupted_within_a_moment(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    started, interrupted = threading.Event(), threading.Event()

    @dramatiq.actor(queue_name="q")
    def work() -> None:
        started.set()
        try:
            while True:
                time.sleep(0.001)
        except Cancelled:
            interrupted.set()
            raise

    start_worker()
    sent = work.send()
    assert started.wait(5)
    begun = time.monotonic()
    assert broker.cancel(sent.message_id) == "active"
    assert interrupted.wait(5)
    # Told by a message; otherwise only the next renewal of the lease would tell it, after seconds.
    assert time.monotonic() - begun < 0.5
    job = eventually(lambda: (found := look_up(broker, sent.message_id)).ended and found)
    assert job.state == "cancelled"


def test_a_running_job_can_see_that_it_is_cancelled_and_end_in_its_own_way(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    started = threading.Event()

    @dramatiq.actor(queue_name="q")
    def work() -> str:
        started.set()
        try:
            while not current_job().cancelled:
                time.sleep(0.001)
        except Cancelled:
            pass
        return "tidied up"

    start_worker()
    sent = work.send()
    assert started.wait(5)
    broker.cancel(sent.message_id)
    job = eventually(lambda: (found := look_up(broker, sent.message_id)).ended and found)
    # It said that it is done, and has a result: so it is.
    assert job.state == "completed"
    assert sent.get_result() == "tidied up"


def test_a_cancelled_job_that_fails_is_not_tried_again(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    worker = hand()
    job = worker.fetch_one()
    assert broker.cancel(job_id) == "active"
    assert look_up(broker, job_id).cancelling
    assert worker.renew() == ([], [job_id])
    worker.retry(job, 0)
    assert look_up(broker, job_id).state == "cancelled"
    assert worker.ids() == []


def test_a_cancelled_job_whose_worker_dies_is_not_run_again(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    first, second = send(), send()
    worker = hand(lease=0.1)
    worker.fetch(2)
    broker.cancel(first)
    broker.cancel(second)
    broker.revoke(worker.token, b'{"error":"x"}', started=[first])
    assert {job.id for job in broker.inspector.jobs("q", "cancelled")} == {first, second}
    third = send()
    worker.fetch_one()
    broker.cancel(third)
    other = hand()
    eventually(lambda: other.ids() == [] and look_up(broker, third).state == "cancelled", 3)


def test_a_cancelled_job_that_is_given_back_is_cancelled(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    worker = hand()
    job = worker.fetch_one()
    broker.cancel(job_id)
    worker.back(job)
    assert look_up(broker, job_id).state == "cancelled"


def test_a_job_that_is_done_when_the_cancel_comes_stays_done(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    worker = hand()
    job = worker.fetch_one()
    broker.cancel(job_id)
    worker.done(job, b"1")
    assert look_up(broker, job_id).state == "completed"
    assert not look_up(broker, job_id).cancelling


def test_a_retried_job_can_be_cancelled_while_it_waits(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    worker = hand()
    worker.retry(worker.fetch_one(), 60_000)
    assert broker.cancel(job_id) == "delayed"
    job = look_up(broker, job_id)
    assert (job.state, job.attempts, len(job.errors)) == ("cancelled", 1, 1)


def test_a_job_that_a_worker_holds_but_has_not_started_never_starts(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    runs: list[int] = []
    go_on = threading.Event()

    @dramatiq.actor(queue_name="q")
    def work(number: int) -> None:
        runs.append(number)
        if number == 0:
            go_on.wait(5)

    jobs = [work.send(number) for number in range(4)]
    start_worker()
    eventually(lambda: runs == [0])
    for job in jobs[1:]:
        broker.cancel(job.message_id)
    go_on.set()
    eventually(lambda: broker.inspector.stats("q").cancelled == 3)
    eventually(lambda: broker.inspector.stats("q").completed == 1)
    assert runs == [0]


def test_many_jobs_are_cancelled_in_whatever_state_they_are(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    completed, dead, active = send(), send(), send()
    worker.done(worker.fetch_one())
    worker.bury(worker.fetch_one())
    worker.fetch_one()
    waiting, delayed, left = send(), send(delay=60_000), send()
    ids = [waiting, "nothing", delayed, active, dead, completed, waiting]
    expected = ["waiting", "unknown", "delayed", "active", "dead", "completed"]
    assert broker.cancel_many("q", ids) == dict(zip(ids, expected, strict=False))
    assert [job.id for job in broker.inspector.jobs("q", "waiting")] == [left]
    assert look_up(broker, active).cancelling
    # Again, as when the reply got lost.
    assert broker.cancel_many("q", ids)[waiting] == "cancelled"
    assert broker.inspector.stats("q").cancelled == 2


def test_more_jobs_than_one_call_takes_are_cancelled(broker: JobyardBroker) -> None:
    sent = [message("q") for _ in range(2001)]
    broker.enqueue_many(sent)
    assert set(broker.cancel_many("q", [one.message_id for one in sent]).values()) == {"waiting"}
    assert broker.inspector.stats("q").cancelled == 2001
    assert broker.cancel_many("q", []) == {}


def test_the_workers_of_many_running_jobs_are_told_at_once(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    running, interrupted = threading.Semaphore(0), threading.Semaphore(0)

    @dramatiq.actor(queue_name="q")
    def work() -> None:
        running.release()
        try:
            while True:
                time.sleep(0.001)
        except Cancelled:
            interrupted.release()
            raise

    start_worker(threads=2)
    sent = [work.send() for _ in range(2)]
    assert all(running.acquire(timeout=10) for _ in sent)
    assert set(broker.cancel_many("q", [one.message_id for one in sent]).values()) == {"active"}
    assert all(interrupted.acquire(timeout=10) for _ in sent)
    eventually(lambda: broker.inspector.stats("q").cancelled == 2)
