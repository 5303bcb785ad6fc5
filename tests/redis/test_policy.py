"""A queue's policy acts at once, on every worker: pause, and what is kept of ended jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable

import dramatiq
import pytest
from pydantic import ValidationError

from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from jobyard.worker.worker import JobyardWorker
from support.hand import Hand, look_up, message, next_millisecond
from support.waiting import eventually

# Pause -------------------------------------------------------------------------------------------------------------


def test_a_paused_queue_accepts_jobs_and_starts_none(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand("q", "other")
    before = send()
    broker.pause("q")
    after, elsewhere = send(), send("other")
    assert worker.ids(9) == [elsewhere]
    assert broker.inspector.stats("q").policy.paused is True
    broker.resume("q")
    assert worker.ids(9) == [before, after]


def test_running_jobs_of_a_paused_queue_finish(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    send()
    job = worker.fetch_one()
    broker.pause("q")
    assert worker.renew() == ([], [])
    worker.done(job)
    assert broker.inspector.stats("q").completed == 1


def test_delayed_jobs_and_retries_of_a_paused_queue_wait(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    retried = send()
    worker.retry(worker.fetch_one(), 10)
    delayed = send(delay=5)
    broker.pause("q")
    eventually(lambda: worker.ids(9) == [] and broker.inspector.stats("q").waiting == 2)
    broker.resume("q")
    assert set(worker.ids(9)) == {delayed, retried}


def test_resuming_wakes_an_idle_worker(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None: ...

    broker.pause("q")
    start_worker()
    sent = work.send()
    eventually(lambda: broker.server.client().llen(broker.keys("q")["wake"]) == 0, what="the worker has looked")
    broker.resume("q")
    eventually(lambda: look_up(broker, sent.message_id).state == "completed", 1)


# Policies ----------------------------------------------------------------------------------------------------------


def test_only_what_is_given_changes(broker: JobyardBroker) -> None:
    broker.configure("q", QueuePolicy(completed=5, ageing=1.5))
    assert broker.configure("q", QueuePolicy(dead=7)) == QueuePolicy(completed=5, ageing=1.5, dead=7)
    assert broker.configure("q", QueuePolicy(ageing=None)) == QueuePolicy(completed=5, dead=7)
    assert broker.inspector.stats("q").policy == QueuePolicy(completed=5, dead=7)
    assert broker.inspector.queues() == ["q"]


@pytest.mark.parametrize(
    "wrong", [{"ageing": 0}, {"ageing": -1}, {"ageing": float("nan")}, {"completed": -1}, {"dead_ttl": -5}, {"x": 1}]
)
def test_a_senseless_policy_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        QueuePolicy.model_validate(wrong)


def test_a_policy_of_a_newer_version_is_read(broker: JobyardBroker) -> None:
    broker.configure("q", QueuePolicy(completed=5))
    broker.server.client().hset(broker.keys("q")["policy"], "invented_later", "x")
    assert broker.inspector.stats("q").policy == QueuePolicy(completed=5)


# Retention ---------------------------------------------------------------------------------------------------------


def complete(worker: Hand, many: int) -> list[str]:
    jobs = worker.fetch(many)
    for job in jobs:
        job.result = b"1"
        worker.dispatcher.settle(job)
    worker.fetch(1)  # Retention is part of fetching.
    return [job.message_id for job in jobs]


def test_completed_jobs_are_kept_up_to_a_number_the_newest(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.configure("q", QueuePolicy(completed=3))
    worker = hand()
    sent = []
    for _ in range(5):
        sent.append(send())
        complete(worker, 1)
        next_millisecond(broker)
    assert [job.id for job in broker.inspector.jobs("q", "completed")] == sent[:1:-1]
    assert broker.inspector.job(sent[0]) is None
    stats = broker.inspector.stats("q")
    assert (stats.completed, stats.kept_completed) == (5, 3)


def test_completed_jobs_are_kept_for_a_time(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.configure("q", QueuePolicy(completed_ttl=150))
    worker = hand()
    job_id = send()
    complete(worker, 1)
    assert look_up(broker, job_id).state == "completed"
    eventually(lambda: worker.ids() == [] and broker.inspector.job(job_id) is None, 2)


def test_with_nothing_kept_a_completed_job_is_gone_at_once_and_a_failed_one_stays(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.configure("q", QueuePolicy(completed=0))
    worker = hand()
    good, bad = send(), send()
    first, second = worker.fetch(2)
    worker.done(first, b"1")
    worker.bury(second)
    assert broker.inspector.job(good) is None
    assert look_up(broker, bad).state == "dead"
    assert broker.inspector.stats("q").completed == 1


def test_cancelled_jobs_are_kept_up_to_a_number(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.configure("q", QueuePolicy(cancelled=2))
    sent = [send() for _ in range(4)]
    for job_id in sent:
        broker.cancel(job_id)
        next_millisecond(broker)
    hand().fetch()
    assert {job.id for job in broker.inspector.jobs("q", "cancelled")} == set(sent[2:])
    assert broker.inspector.stats("q").cancelled == 4


@pytest.mark.parametrize("policy", [QueuePolicy(dead=2), QueuePolicy(dead_ttl=1)])
def test_dead_letters_that_have_to_go_are_counted_and_logged(
    broker: JobyardBroker,
    hand: Callable[..., Hand],
    send: Callable[..., str],
    start_worker: Callable[..., JobyardWorker],
    caplog: pytest.LogCaptureFixture,
    policy: QueuePolicy,
) -> None:
    worker = hand()
    for _ in range(4):
        send()
        worker.bury(worker.fetch_one())
    broker.configure("q", policy)
    with caplog.at_level(logging.WARNING):
        start_worker(queues=["q"])
        left = policy.dead or 0
        eventually(lambda: broker.inspector.stats("q").dead == left)
        eventually(lambda: "evicted by the retention policy" in caplog.text)
    assert broker.inspector.stats("q").counts["evicted"] == 4 - left


def test_without_a_policy_the_defaults_hold(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    """100,000 dead letters for 30 days; completed ones for an hour. Shown by the age of one that is moved into the past."""
    client = broker.server.client()
    worker = hand()
    day = 86_400_000
    for place, age, gone in [
        ("dead", 29 * day, False), ("dead", 31 * day, True),
        ("completed", 3_500_000, False), ("completed", 3_700_000, True),
        ("cancelled", 23 * 3_600_000, False), ("cancelled", 25 * 3_600_000, True),
    ]:  # fmt: skip
        job_id = send()
        if place == "cancelled":
            broker.cancel(job_id)
        elif place == "dead":
            worker.bury(worker.fetch_one())
        else:
            worker.done(worker.fetch_one())
        client.zadd(broker.keys("q")[place], {job_id: broker.inspector.stats("q").now - age})
        worker.fetch()
        assert (broker.inspector.job(job_id) is None) == gone, (place, age)


def test_more_is_forgotten_in_bounded_steps_until_the_policy_holds(
    broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    broker.enqueue_many([message() for _ in range(2500)])
    worker = hand()
    while jobs := worker.fetch(1000):
        for job in jobs:
            worker.dispatcher.settle(job)
    broker.configure("q", QueuePolicy(completed=10))
    steps = 0
    while broker.inspector.stats("q").kept_completed > 10:
        worker.fetch()
        steps += 1
        assert steps <= 4
    assert steps > 1
