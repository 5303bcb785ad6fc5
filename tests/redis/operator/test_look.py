"""One look at a queue: each number beside what the broker's own parts say, and what was done to get there."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerUnavailableError
from jobyard.broker.policy import QueuePolicy
from jobyard_operator.redis.connection import connect
from jobyard_operator.redis.look import Look, look
from jobyard_operator.redis.memory import remember
from support.hand import Hand, message
from support.proxy import Proxy
from support.servers import Server
from support.snapshot import snapshot
from support.waiting import eventually
from support.walk import Walk

MakeHand = Callable[..., Hand]
Send = Callable[..., str]


def age(broker: JobyardBroker, job_id: str, seconds: float, *, place: str = "ready", queue: str = "q") -> None:
    """Move a waiting or delayed job into the past, by so much."""
    ticks = 100_000 if place == "ready" else 1000
    broker.server.client().zincrby(broker.keys(queue)[place], -seconds * ticks, job_id)


def test_a_queue_that_has_never_had_a_job_is_empty(broker: JobyardBroker) -> None:
    seen = look(broker, "q", 15)
    assert seen.empty
    assert seen == Look(
        now=seen.now, waiting=0, active=0, orphaned=0, parked=0, delayed=0, due_soon=0, next_due=None, oldest=0, ended=0,
        running=0, dead=0,
    )  # fmt: skip
    assert abs(seen.now - broker.inspector.stats("q").now / 1000) < 5
    assert broker.inspector.queues() == []


def test_jobs_are_counted_by_where_they_are(broker: JobyardBroker, hand: MakeHand, send: Send) -> None:
    broker.configure("q", QueuePolicy(key_concurrency=1))
    worker, other = hand(), hand()
    for _ in range(2):
        send(key="k")
    (buried,) = worker.fetch(1)
    worker.bury(buried)
    worker.fetch(1)
    send(key="k")
    assert worker.ids(1) == []  # It is parked.
    for _ in range(5):
        send()
    other.fetch(2)
    send(delay=5_000)
    send(delay=60_000)
    seen = look(broker, "q", 10)
    assert (seen.waiting, seen.active, seen.orphaned, seen.parked, seen.delayed, seen.dead) == (3, 3, 0, 1, 2, 1)
    assert seen.due_soon == 1
    assert seen.next_due is not None
    assert 3 < seen.next_due <= 5
    assert seen.held_by == {worker.token: 1, other.token: 2}
    assert seen.counts == broker.inspector.stats("q").counts
    assert not seen.empty
    assert look(broker, "q", 70).due_soon == 2
    assert look(broker, "q", 0).due_soon == 0


def test_a_look_changes_nothing(broker: JobyardBroker, hand: MakeHand, send: Send) -> None:
    send()
    send(delay=50_000)
    hand().fetch(1)
    before = snapshot(broker)
    look(broker, "q", 15)
    assert snapshot(broker) == before


def test_jobs_that_wait_for_a_limit_of_the_queue_are_waiting(broker: JobyardBroker, hand: MakeHand, send: Send) -> None:
    broker.configure("q", QueuePolicy(concurrency=1, rate=0.001))
    worker = hand()
    for _ in range(3):
        send()
    assert len(worker.fetch(9)) == 1
    seen = look(broker, "q", 15)
    assert (seen.waiting, seen.active, seen.delayed) == (2, 1, 0)


def test_a_delayed_job_that_is_due_waits_though_no_worker_has_moved_it(broker: JobyardBroker, send: Send) -> None:
    late = send(delay=100_000)
    send(delay=200_000)
    age(broker, late, 130, place="scheduled")
    seen = look(broker, "q", 15)
    assert (seen.waiting, seen.delayed, seen.due_soon) == (1, 1, 0)
    assert 30 <= seen.oldest < 40
    assert seen.next_due is not None
    assert seen.next_due > 190


def test_a_lease_that_has_ended_makes_an_orphan(broker: JobyardBroker, hand: MakeHand, send: Send) -> None:
    send()
    send()
    worker, dead = hand(), hand()
    worker.fetch_one()
    orphan = dead.fetch_one().message_id
    assert look(broker, "q", 15).active == 2
    broker.server.client().zincrby(broker.keys("q")["active"], -20_000, orphan)
    seen = look(broker, "q", 15)
    assert (seen.active, seen.orphaned, seen.waiting) == (1, 1, 0)
    assert seen.held_by == {worker.token: 1, dead.token: 1}


# Since when ------------------------------------------------------------------------------------------------------------


def test_a_new_job_waits_since_it_was_enqueued(broker: JobyardBroker, send: Send) -> None:
    first = send()
    send()
    assert look(broker, "q", 15).oldest < 5
    age(broker, first, 40)
    assert 40 <= look(broker, "q", 15).oldest < 45


def test_a_retried_job_waits_since_it_was_due_however_old_it_is(
    broker: JobyardBroker, hand: MakeHand, send: Send
) -> None:
    worker = hand()
    job_id = send()
    age(broker, job_id, 500)
    worker.retry(worker.fetch_one(), 1)
    eventually(lambda: look(broker, "q", 15).waiting)
    assert look(broker, "q", 15).oldest < 5
    broker.pause("q")
    worker.fetch(1)  # Moves what is due, starts nothing.
    assert broker.inspector.stats("q").waiting == 1
    assert look(broker, "q", 15).oldest < 5


def test_a_job_that_went_back_waits_since_it_was_started(broker: JobyardBroker, hand: MakeHand, send: Send) -> None:
    worker = hand()
    for _ in range(2):
        age(broker, send(), 500)
    returned, _ = worker.fetch(2)
    worker.back(returned)
    assert look(broker, "q", 15).oldest < 5
    broker.revoke(worker.token, b'{"error":"WorkerDied"}')
    seen = look(broker, "q", 15)
    assert (seen.waiting, seen.active) == (2, 0)
    assert seen.oldest < 5


def test_a_revived_job_waits_since_it_was_revived(broker: JobyardBroker, hand: MakeHand, send: Send) -> None:
    worker = hand()
    job_id = send()
    age(broker, job_id, 500)
    worker.bury(worker.fetch_one())
    assert look(broker, "q", 15).oldest == 0
    broker.dead_letters.retry("q", [job_id])
    assert look(broker, "q", 15).oldest < 5


def test_with_strict_priorities_a_job_of_low_priority_may_be_the_oldest(broker: JobyardBroker, send: Send) -> None:
    age(broker, send(priority=90), 300)
    age(broker, send(priority=50), 20)
    send(priority=10)
    assert 300 <= look(broker, "q", 15).oldest < 310


@pytest.mark.parametrize("ageing", [1, 60, 30 * 86400])
def test_with_ageing_the_priority_is_no_time(broker: JobyardBroker, send: Send, ageing: float) -> None:
    broker.configure("q", QueuePolicy(ageing=ageing))
    age(broker, send(priority=70), 100)
    assert 100 <= look(broker, "q", 15).oldest < 105


def test_where_keys_take_turns_a_turn_is_no_time(broker: JobyardBroker, hand: MakeHand) -> None:
    broker.configure("q", QueuePolicy(fair=True, weights={"k": 0.01}))
    broker.enqueue_many([message(key="k") for _ in range(50)])  # The last turn is 50 s ahead.
    hand().fetch(40)
    (first,) = broker.inspector.jobs("q", "waiting", limit=1)
    time.sleep(0.05)
    seen = look(broker, "q", 15)
    assert first.created_at is not None
    assert seen.oldest == pytest.approx(seen.now - first.created_at / 1000, abs=0.02)
    assert seen.oldest >= 0.05


# Runs ------------------------------------------------------------------------------------------------------------------


def test_every_run_that_ends_is_counted_once_and_what_was_returned_is_not(
    broker: JobyardBroker, hand: MakeHand, send: Send
) -> None:
    worker = hand()
    for _ in range(7):
        send()
    done, retried, later, buried, returned, recovered, running = worker.fetch(7)
    assert look(broker, "q", 15).ended == 0
    worker.done(done)
    worker.retry(retried, 60_000)
    worker.retry(later, 60_000, counted=False)
    worker.bury(buried)
    assert look(broker, "q", 15).ended == 4
    worker.back(returned)
    seen = look(broker, "q", 15)
    assert (seen.ended, seen.waiting, seen.counts["returned"]) == (4, 1, 1)
    broker.revoke(worker.token, b'{"error":"WorkerDied"}', started=[recovered.message_id])
    assert look(broker, "q", 15).ended == 5
    assert running.message_id in {job.id for job in broker.inspector.jobs("q", "waiting")}


def test_the_mean_age_of_running_jobs(broker: JobyardBroker, hand: MakeHand) -> None:
    """Of thousands, a sample is taken from all of them."""
    broker.enqueue_many([message() for _ in range(3000)])
    worker = hand()
    jobs = worker.fetch(1000) + worker.fetch(1000) + worker.fetch(1000)
    client, key = broker.server.client(), broker.keys("q")["runs"]
    order = [one.decode() for one in client.zrange(broker.keys("q")["active"], 0, -1)]
    runs = client.hgetall(key)
    for place, job_id in enumerate(order):
        fields = runs[job_id.encode()].split(b" ")
        fields[3] = b"%d" % (int(fields[3]) - 1000 * place)  # The n-th has run for n seconds.
        client.hset(key, job_id, b" ".join(fields))
    seen = look(broker, "q", 15)
    assert (seen.active, seen.held_by) == (3000, {worker.token: 3000})
    assert len(jobs) == 3000
    assert seen.running == pytest.approx(1500, rel=0.03)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_numbers_fit_whatever_happens(broker: JobyardBroker, hand: MakeHand, seed: int) -> None:
    """Random moves: beside the ledger, and the workers' own view of what they have."""
    walk = Walk(broker, hand, seed)
    chance = random.Random(seed)
    before: Counter[str] = Counter()
    for _ in range(150):
        walk.step()
        for queue in broker.inspector.queues() if chance.random() < 0.2 else ():
            stats, seen = broker.inspector.stats(queue), look(broker, queue, 15)
            assert seen.waiting + seen.delayed == stats.waiting + stats.delayed
            assert seen.waiting >= stats.waiting
            assert (seen.active + seen.orphaned, seen.parked, seen.dead) == (stats.active, stats.parked, stats.dead)
            assert sum(seen.held_by.values()) == stats.active
            assert seen.due_soon <= seen.delayed
            assert (seen.next_due is None) == (seen.delayed == 0)
            assert (seen.oldest == 0) or seen.waiting
            assert seen.ended >= before[queue] >= 0
            before[queue] = seen.ended


# Threads, failures -----------------------------------------------------------------------------------------------------


def test_one_broker_serves_many_threads(redis_url: str, namespace: str, broker: JobyardBroker, send: Send) -> None:
    names = [f"queue-{number}" for number in range(8)]
    for number, name in enumerate(names):
        for _ in range(number):
            send(name)
    own = connect(redis_url, namespace)
    problems: list[str] = []

    def work(thread: int) -> None:
        for turn in range(50):
            number = (thread + turn) % len(names)
            remember(own, names[number], 1, b"%d" % number)
            seen = look(own, names[number], 15)
            if (seen.waiting, seen.memory) != (number, b"%d" % number):
                problems.append(f"{names[number]}: {seen}")
        own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_server_that_is_away_or_silent_is_told_soon(
    start_server: Callable[..., Server], start_proxy: Callable[[int], Proxy], namespace: str
) -> None:
    own = start_server("valkey")
    proxy = start_proxy(own.port)
    broker = connect(proxy.url, namespace)
    assert look(broker, "q", 15).empty
    proxy.silence()
    started = time.monotonic()
    with pytest.raises(BrokerUnavailableError):
        look(broker, "q", 15)
    assert time.monotonic() - started < 6
    proxy.heal()
    assert look(broker, "q", 15).empty
    own.kill()
    started = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="no connection"):
        look(broker, "q", 15)
    assert time.monotonic() - started < 4
    own.start()
    eventually(lambda: look(broker, "q", 15).empty)
    broker.close()
