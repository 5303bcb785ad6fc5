"""Workers through outages of Redis: what is finished is kept and delivered, nothing runs twice, no thread dies."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from jobyard.worker.worker import JobyardWorker
from support.hand import look_up, message
from support.proxy import Proxy
from support.servers import Kind, Server
from support.waiting import eventually

StartWorker = Callable[..., JobyardWorker]
MakeBroker = Callable[..., JobyardBroker]


@pytest.mark.parametrize("kind", ["valkey", "redis"])
@pytest.mark.parametrize("threads", [1, 4])
def test_finished_jobs_are_kept_while_redis_is_away_and_delivered_afterwards(
    start_server: Callable[..., Server], make_broker: MakeBroker, start_worker: StartWorker, kind: Kind, threads: int
) -> None:
    own = start_server(kind)
    broker = make_broker(own.url)
    runs: Counter[int] = Counter()
    away = threading.Event()

    @dramatiq.actor(queue_name="q", broker=broker, max_retries=0)
    def work(number: int) -> int:
        runs[number] += 1
        away.wait(10)
        if number % 4 == 3:
            raise ValueError("on purpose")
        return number

    worker = start_worker(broker=broker, threads=threads)
    jobs = [work.send(number) for number in range(4)]
    eventually(lambda: len(runs) == min(4, threads))
    own.kill()
    away.set()
    eventually(lambda: worker.outage)
    time.sleep(0.3)
    assert worker.complaint() is None
    own.start()
    eventually(lambda: broker.inspector.stats("q").completed == 3 and broker.inspector.stats("q").dead == 1)
    assert set(runs.values()) == {1}
    assert look_up(broker, jobs[2].message_id).encoded_result == b"2"
    stats = broker.inspector.stats("q")
    assert (stats.lost, stats.orphaned, stats.counts.get("recovered", 0)) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_redis_is_killed_again_and_again_and_every_job_runs_once(
    start_server: Callable[..., Server], make_broker: MakeBroker, start_worker: StartWorker, kind: Kind
) -> None:
    own = start_server(kind)
    broker = make_broker(own.url, patience=20)
    runs: Counter[int] = Counter()
    mutex = threading.Lock()

    @dramatiq.actor(queue_name="q", broker=broker, max_retries=3, min_backoff=1, max_backoff=50)
    def work(number: int) -> None:
        with mutex:
            runs[number] += 1
        if number % 10 == 0 and runs[number] == 1:
            raise ValueError("on purpose")

    broker.configure("q", QueuePolicy(completed=0))
    workers = [start_worker(broker=broker, threads=threads) for threads in (1, 3)]
    total = 2000

    def produce() -> None:
        for number in range(total):
            work.send(number)

    producer = threading.Thread(target=produce)
    producer.start()
    for _ in range(4):
        time.sleep(0.4)
        own.restart()
    producer.join(60)
    eventually(lambda: broker.inspector.stats("q").completed == total, 30)
    assert all(runs[number] == (2 if number % 10 == 0 else 1) for number in range(total))
    stats = broker.inspector.stats("q")
    assert (stats.lost, stats.orphaned, stats.counts.get("recovered", 0)) == (0, 0, 0)
    assert [worker.complaint() for worker in workers] == [None, None]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 4])
def test_replies_are_lost_at_random_and_every_job_runs_once(
    server: Server,
    broker: JobyardBroker,
    make_broker: MakeBroker,
    start_proxy: Callable[[int], Proxy],
    start_worker: StartWorker,
    threads: int,
) -> None:
    proxy = start_proxy(server.port)
    proxy.lose_at_random(0.05, seed=1)
    far = make_broker(proxy.url)
    runs: Counter[int] = Counter()

    @dramatiq.actor(queue_name="q", broker=far)
    def work(number: int) -> None:
        runs[number] += 1

    worker = start_worker(broker=far, threads=threads)
    for number in range(500):
        work.send(number)
    eventually(lambda: broker.inspector.stats("q").completed == 500, 30)
    assert set(runs.values()) == {1}
    assert len(runs) == 500
    assert proxy.lost > 20
    assert broker.inspector.stats("q").counts.get("recovered", 0) == 0
    assert worker.complaint() is None


def test_a_worker_that_starts_before_redis_waits_for_it(
    start_server: Callable[..., Server], make_broker: MakeBroker, start_worker: StartWorker
) -> None:
    own = start_server()
    broker = make_broker(own.url, patience=0.1)

    @dramatiq.actor(queue_name="q", broker=broker)
    def work() -> None: ...

    sent = work.send()
    fresh = make_broker(own.url, patience=0.1)
    fresh.declare_actor(work)
    own.kill()
    starting = threading.Thread(target=lambda: start_worker(broker=fresh, queues=["q"]))
    starting.start()
    time.sleep(0.5)
    assert starting.is_alive()
    own.start()
    eventually(lambda: look_up(broker, sent.message_id).state == "completed")
    starting.join(5)


def test_a_worker_that_waits_for_redis_can_be_told_to_stop(
    start_server: Callable[..., Server], make_broker: MakeBroker
) -> None:
    own = start_server()
    own.kill()
    worker = JobyardWorker(make_broker(own.url, patience=0.1), queues={"q"}, worker_threads=1)
    failed = threading.Event()

    def start() -> None:
        try:
            worker.start()
        except dramatiq.errors.BrokerConnectionError:
            failed.set()

    starting = threading.Thread(target=start)
    starting.start()
    time.sleep(0.2)
    worker.hurry(0)
    assert failed.wait(5)
    starting.join(5)


def test_an_idle_worker_comes_back_soon_after_an_outage(
    start_server: Callable[..., Server],
    make_broker: MakeBroker,
    start_worker: StartWorker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = start_server()
    broker = make_broker(own.url)

    @dramatiq.actor(queue_name="q", broker=broker)
    def work() -> None: ...

    with caplog.at_level(logging.INFO):
        worker = start_worker(broker=broker)
        time.sleep(0.1)
        own.kill()
        eventually(lambda: worker.outage)
        time.sleep(0.5)
        own.start()
        sent = work.send()
        eventually(lambda: look_up(broker, sent.message_id).state == "completed", 3)
        eventually(lambda: not worker.outage)
    # Said once, not with every try.
    assert len([record for record in caplog.records if "kept and delivered" in record.message]) == 1
    assert "Redis is back" in caplog.text


def test_a_worker_that_stops_during_an_outage_ends_in_time(
    server: Server,
    broker: JobyardBroker,
    make_broker: MakeBroker,
    start_proxy: Callable[[int], Proxy],
    start_worker: StartWorker,
) -> None:
    proxy = start_proxy(server.port)
    far = make_broker(proxy.url)
    begun = threading.Event()
    go_on = threading.Event()

    @dramatiq.actor(queue_name="q", broker=far)
    def work() -> None:
        begun.set()
        go_on.wait(10)

    worker = start_worker(broker=far)
    sent = broker.enqueue(work.message())
    assert begun.wait(5)
    proxy.refuse()
    go_on.set()
    started = time.monotonic()
    worker.stop(timeout=500)
    assert time.monotonic() - started < 5
    # It was not delivered, so the lease decides. Nothing is lost.
    assert look_up(broker, sent.message_id).state == "active"
    proxy.heal()


def test_a_server_that_lost_its_data_gets_new_jobs_and_lists_their_queues_again(
    start_server: Callable[..., Server], make_broker: MakeBroker, start_worker: StartWorker
) -> None:
    own = start_server(aof=False)
    broker = make_broker(own.url)

    @dramatiq.actor(queue_name="q", broker=broker)
    def work() -> None: ...

    worker = start_worker(broker=broker)
    first = work.send()
    eventually(lambda: look_up(broker, first.message_id).state == "completed")
    own.restart()
    second = work.send()
    eventually(lambda: look_up(broker, second.message_id).state == "completed")
    assert broker.inspector.queues() == ["q"]
    assert worker.complaint() is None


def test_jobs_sent_while_redis_is_away_arrive_when_it_is_back_within_the_patience(
    server: Server, broker: JobyardBroker, make_broker: MakeBroker, start_proxy: Callable[[int], Proxy]
) -> None:
    proxy = start_proxy(server.port)
    producer = make_broker(proxy.url, patience=10)
    producer.enqueue(message())
    proxy.refuse()
    threads = [threading.Thread(target=lambda: producer.enqueue_many([message() for _ in range(3)])) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    proxy.heal()
    for thread in threads:
        thread.join(10)
    assert broker.inspector.stats("q").waiting == 10
