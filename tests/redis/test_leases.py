"""Leases: who lost its worker runs again, who only lost sight of Redis doesn't; and a job that kills is buried."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.worker.worker import JobyardWorker
from support.hand import Hand, look_up, message
from support.proxy import Proxy
from support.servers import Server
from support.waiting import eventually


def age_leases(broker: JobyardBroker, queue: str = "q") -> None:
    """Let all leases of a queue be over, without waiting for it."""
    key = broker.keys(queue)["active"]
    client = broker.server.client()
    for job_id in client.zrange(key, 0, -1):
        client.zadd(key, {job_id: broker.inspector.stats(queue).now - 1})


def silence(broker: JobyardBroker, seconds: float, queue: str = "q") -> None:
    """Make it look as if nobody had spoken to Redis about this queue for so long."""
    key = broker.keys(queue)["counts"]
    broker.server.client().hset(key, "seen", int(broker.inspector.stats(queue).now - seconds * 1000))


def test_a_job_whose_lease_ran_out_runs_again_and_the_attempt_counts(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    hand(lease=0.1).fetch_one()
    other = hand()
    assert other.ids() == []
    (again,) = eventually(other.fetch, 3)
    assert (again.message_id, again.attempt) == (job_id, 2)
    job = look_up(broker, job_id)
    assert job.attempts == 2
    (error,) = job.errors
    assert (error["attempt"], error["error"]) == (1, "LeaseExpired")
    assert error["started_at"] <= error["ended_at"]
    assert broker.inspector.stats("q").counts["recovered"] == 1


def test_a_renewed_lease_does_not_run_out(hand: Callable[..., Hand], send: Callable[..., str]) -> None:
    job_id = send()
    worker, other = hand(lease=0.2), hand()
    worker.fetch_one()
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        assert worker.renew() == ([], [])
        assert other.ids() == []
        time.sleep(0.02)
    assert eventually(other.ids, 2) == [job_id]


def test_an_idle_worker_recovers_at_once_when_a_lease_runs_out(
    broker: JobyardBroker,
    hand: Callable[..., Hand],
    send: Callable[..., str],
    start_worker: Callable[..., JobyardWorker],
) -> None:
    """It is told for how long to wait; it doesn't poll."""
    started = threading.Event()

    @dramatiq.actor(queue_name="q")
    def work() -> None:
        started.set()

    send()
    hand(lease=1).fetch_one()
    begun = time.monotonic()
    start_worker(lease=3)
    assert started.wait(5)
    assert 0.7 < time.monotonic() - begun < 1.4


def test_a_worker_keeps_a_job_that_takes_several_leases(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    runs: list[str] = []

    @dramatiq.actor(queue_name="q")
    def work() -> None:
        runs.append("run")
        time.sleep(1.2)

    start_worker(lease=0.5)
    start_worker(lease=0.5)
    sent = work.send()
    eventually(lambda: look_up(broker, sent.message_id).ended)
    assert runs == ["run"]
    assert broker.inspector.stats("q").counts.get("recovered", 0) == 0


@pytest.mark.parametrize("outage", [0.7, 1.5, 100])
def test_an_outage_in_which_leases_ran_out_makes_no_job_run_twice(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], outage: float
) -> None:
    """Who comes back first must give the others time to renew. Also if the outage was shorter than a lease."""
    job_id = send()
    holder, other = hand(), hand()
    holder.fetch_one()
    age_leases(broker)
    silence(broker, outage * 15)
    assert other.ids() == []
    assert holder.renew() == ([], [])
    assert other.ids() == []
    assert look_up(broker, job_id).worker == holder.token


def test_after_an_outage_the_jobs_of_workers_that_did_not_come_back_run_again(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    hand().fetch_one()
    age_leases(broker)
    silence(broker, 60)
    other = hand()
    assert other.ids() == []
    # It is told when to look again.
    assert other.last.wait is not None
    assert 0 < other.last.wait <= 5
    key = broker.keys("q")["counts"]
    broker.server.client().hset(key, "grace", broker.inspector.stats("q").now - 1)
    assert other.ids() == [job_id]


def test_a_frozen_redis_makes_no_job_run_twice(
    broker: JobyardBroker,
    start_server: Callable[..., Server],
    make_broker: Callable[..., JobyardBroker],
    start_worker: Callable[..., JobyardWorker],
) -> None:
    own = start_server()
    frozen = make_broker(own.url)
    runs: list[int] = []
    go_on = threading.Event()

    @dramatiq.actor(queue_name="q", broker=frozen)
    def work(number: int) -> None:
        runs.append(number)
        go_on.wait(10)

    start_worker(broker=frozen, lease=1)
    start_worker(broker=frozen, lease=1)
    jobs = [work.send(number) for number in range(2)]
    eventually(lambda: len(runs) == 2)
    own.freeze()
    time.sleep(1.5)
    own.thaw()
    time.sleep(0.5)
    go_on.set()
    for job in jobs:
        eventually(lambda job=job: look_up(frozen, job.message_id).state == "completed")
    assert sorted(runs) == [0, 1]
    assert frozen.inspector.stats("q").counts.get("recovered", 0) == 0


def test_a_job_that_kills_its_worker_is_buried_after_its_attempts(
    broker: JobyardBroker,
    hand: Callable[..., Hand],
    start_worker: Callable[..., JobyardWorker],
) -> None:
    runs: list[str] = []

    @dramatiq.actor(queue_name="q", max_retries=2)
    def kills() -> None:
        runs.append("run")

    sent = kills.send()
    for attempt in (1, 2, 3):
        worker = hand()
        # From the second death on it has to wait, since it may be what kills workers.
        (delivery,) = eventually(worker.fetch)
        assert delivery.attempt == attempt
        broker.revoke(worker.token, b'{"error":"WorkerDied","message":"killed by signal 9"}')
    start_worker()
    job = eventually(lambda: (found := look_up(broker, sent.message_id)).ended and found)
    assert (job.state, job.attempts, runs) == ("dead", 3, [])
    assert [error["error"] for error in job.errors] == ["WorkerDied"] * 3
    assert broker.inspector.stats("q").counts["failed"] == 1


def test_a_job_whose_workers_keep_dying_runs_again_at_once_and_then_after_growing_pauses(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send(priority=7)
    pauses = []
    for _ in range(4):
        worker = hand()
        eventually(worker.fetch)
        broker.revoke(worker.token, b'{"error":"WorkerDied"}')
        job = look_up(broker, job_id)
        now = broker.inspector.stats("q").now
        pauses.append(0 if job.state == "waiting" else round((job.due_at - now) / 1000))
        assert job.priority == 7
    assert pauses == [0, 1, 2, 4]


def test_recovered_jobs_do_not_pass_over_a_pause(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    hand().fetch_one()
    age_leases(broker)
    broker.pause("q")
    other = hand()
    assert other.ids() == []
    assert look_up(broker, job_id).state == "waiting"
    broker.resume("q")
    assert other.ids() == [job_id]


def test_of_a_dead_workers_jobs_only_those_count_an_attempt_that_had_begun(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    sent = [send() for _ in range(3)]
    worker = hand()
    worker.fetch(3)
    assert broker.revoke(worker.token, b'{"error":"WorkerDied"}', started=[sent[1]]) == (3, 0)
    again = hand().fetch(3)
    assert [(job.message_id, job.attempt) for job in again] == [(sent[0], 1), (sent[1], 2), (sent[2], 1)]


def test_many_expired_leases_are_recovered_in_bounded_steps(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    broker.enqueue_many([message() for _ in range(350)])
    hand().fetch(350)
    age_leases(broker)
    other = hand()
    taken: set[str] = set()
    steps = 0
    while len(taken) < 350:
        taken |= set(other.ids(1000))
        steps += 1
        assert steps < 6


def test_a_worker_that_stood_still_starts_nothing_that_it_had_fetched_before(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    first, second = send(), send()
    worker = hand().dispatcher
    worker.appetite.slots = 2
    assert len(worker.fetch().deliveries) == 2
    for delivery in worker.buffer:
        delivery.fetched_at -= worker.lease
    assert worker.take() is None
    worker.flush()
    jobs = broker.inspector.jobs_by_id("q", [first, second])
    assert [(job.state, job.attempts) for job in jobs] == [("waiting", 0)] * 2


def test_a_worker_that_stood_still_before_it_read_the_reply_starts_nothing_of_it(
    broker: JobyardBroker,
    server: Server,
    hand: Callable[..., Hand],
    start_proxy: Callable[[int], Proxy],
    make_broker: Callable[..., JobyardBroker],
    send: Callable[..., str],
) -> None:
    job_id = send()
    proxy = start_proxy(server.port)
    worker = hand(broker=make_broker(proxy.url), lease=0.9).dispatcher
    proxy.delay(0.4)
    assert [delivery.message_id for delivery in worker.fetch().deliveries] == [job_id]
    proxy.heal()
    assert worker.take() is None
    worker.flush()
    assert look_up(broker, job_id).state == "waiting"
