"""What a job logs is kept with it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import dramatiq
import pytest

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.broker.job_logs import LONGEST_LINE, MOST_LINES
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.scripts import script
from jobyard.worker.worker import JobyardWorker
from support.hand import Hand, look_up
from support.proxy import Proxy
from support.servers import Server
from support.waiting import eventually

logger = logging.getLogger("shop.orders")


@pytest.fixture(autouse=True)
def _at_info() -> object:
    root = logging.getLogger()
    before = root.level
    root.setLevel("INFO")
    yield
    root.setLevel(before)


def ended(broker: JobyardBroker, job_id: str) -> bool:
    return look_up(broker, job_id).ended


def messages(broker: JobyardBroker, job_id: str) -> list[str]:
    return [line.message for line in broker.inspector.logs(job_id)]


def test_lines_are_there_when_the_job_has_ended(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None:
        logger.debug("not this one")
        logger.info("order %d", 7)
        jobyard.log("packed", boxes=2)

    start_worker()
    job_id = work.send().message_id
    eventually(lambda: ended(broker, job_id))
    first, second = broker.inspector.logs(job_id, "q")
    assert (first.level, first.logger, first.message, first.attempt) == ("info", "shop.orders", "order 7", 1)
    assert (second.logger, second.message) == ("jobyard.log", "packed boxes=2")
    assert abs(first.at - broker.inspector.stats("q").now) < 60_000
    assert broker.inspector.logs(job_id).dropped == 0


def test_lines_are_seen_while_the_job_runs(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    go_on = threading.Event()

    @dramatiq.actor(queue_name="q")
    def work() -> None:
        logger.info("begun")
        go_on.wait(20)
        logger.info("over")

    start_worker()
    job_id = work.send().message_id
    eventually(lambda: messages(broker, job_id) == ["begun"])
    go_on.set()
    eventually(lambda: ended(broker, job_id))
    assert messages(broker, job_id) == ["begun", "over"]


def test_an_async_job_has_its_own_lines(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    @dramatiq.actor(queue_name="q")
    async def work(name: str) -> None:
        for _ in range(3):
            logger.info(name)
            await asyncio.sleep(0.001)

    start_worker(threads=2)
    ids = {name: work.send(name).message_id for name in ("a", "b")}
    for name, job_id in ids.items():
        eventually(lambda job_id=job_id: ended(broker, job_id))
        assert messages(broker, job_id) == [name] * 3


def test_the_newest_lines_are_kept_and_the_others_counted(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q")
    def many() -> None:
        for number in range(1000):
            logger.info(number)

    @dramatiq.actor(queue_name="q")
    def long() -> None:
        for _ in range(40):
            logger.info("x" * 5000)

    start_worker()
    job_id, other = many.send().message_id, long.send().message_id
    eventually(lambda: ended(broker, job_id) and ended(broker, other))
    logs = broker.inspector.logs(job_id)
    assert [line.message for line in logs] == [str(number) for number in range(1000 - MOST_LINES, 1000)]
    assert logs.dropped == 1000 - MOST_LINES
    logs = broker.inspector.logs(other)
    assert {len(line.message) for line in logs} == {LONGEST_LINE + 2}
    assert sum(len(line.message) for line in logs) <= 32 * 1024
    assert len(logs) + logs.dropped == 40


def test_lines_of_all_attempts_stay_and_go_with_the_job(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q", max_retries=1, min_backoff=1)
    def work() -> None:
        logger.warning("trying")
        raise RuntimeError("no")

    start_worker()
    job_id = work.send().message_id
    eventually(lambda: ended(broker, job_id))
    assert [(line.message, line.attempt) for line in broker.inspector.logs(job_id)] == [("trying", 1), ("trying", 2)]
    broker.dead_letters.discard("q", [job_id])
    assert not broker.inspector.logs(job_id)


def test_a_job_that_is_not_kept_leaves_no_lines(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None:
        logger.info("soon forgotten")

    broker.configure("q", QueuePolicy(completed=0))
    start_worker()
    work.send()
    eventually(lambda: broker.inspector.stats("q").completed == 1)
    assert broker.server.client().exists(broker.keys("q")["logs"]) == 0


def test_nothing_that_a_job_logs_fails_it(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("can't be shown")

    @dramatiq.actor(queue_name="q", max_retries=0)
    def work() -> None:
        logging.raiseExceptions = False
        logger.info(Hostile())
        logging.raiseExceptions = True
        logger.info("two\nlines, redis://me:secret@host/")
        jobyard.log("half a pair: \ud800")

    start_worker()
    job_id = work.send().message_id
    eventually(lambda: ended(broker, job_id))
    assert look_up(broker, job_id).state == "completed"
    assert messages(broker, job_id) == ["two\nlines, redis://me:***@host/", "half a pair: \\ud800"]


def test_off_keeps_nothing(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None:
        logger.error("nobody listens")
        jobyard.log("nor here")

    monkeypatch.setenv("JOBYARD_JOB_LOGS", "off")
    start_worker()
    job_id = work.send().message_id
    eventually(lambda: ended(broker, job_id))
    assert not broker.inspector.logs(job_id)


def test_a_level_keeps_what_is_as_high(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None:
        logger.info("low")
        logger.error("high")

    monkeypatch.setenv("JOBYARD_JOB_LOGS", "error")
    start_worker()
    job_id = work.send().message_id
    eventually(lambda: ended(broker, job_id))
    assert messages(broker, job_id) == ["high"]


def test_the_same_lines_sent_twice_are_kept_once(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send("q")
    worker = hand("q")
    delivery = worker.fetch_one()
    delivery.log_sink = lambda _: None
    for number in range(3):
        delivery.log("info", "l", str(number))
    assert delivery.lines is not None
    first, _, text = delivery.lines.unsent()
    call = (worker.token, job_id, delivery.call, first, text)
    for _ in range(2):
        assert broker.link.call(script("log"), broker.keys("q").all, call) == 1
    delivery.log("info", "l", "3")
    worker.done(delivery)  # It doesn't know that the first three have arrived.
    assert messages(broker, job_id) == ["0", "1", "2", "3"]
    # Whoever no longer holds the job adds nothing.
    assert broker.link.call(script("log"), broker.keys("q").all, call) == 0
    assert broker.inspector.logs(job_id).dropped == 0


def test_while_redis_is_away_only_lines_wait(
    server: Server,
    make_broker: Callable[..., JobyardBroker],
    broker: JobyardBroker,
    start_proxy: Callable[[int], Proxy],
    start_worker: Callable[..., JobyardWorker],
) -> None:
    proxy = start_proxy(server.port)
    begun, go_on, seconds = threading.Event(), threading.Event(), []

    @dramatiq.actor(queue_name="q")
    def work() -> None:
        begun.set()
        go_on.wait(20)
        before = time.monotonic()
        for number in range(100):
            logger.info(number)
        seconds.append(time.monotonic() - before)

    through = make_broker(server.url.replace(str(server.port), str(proxy.port)))
    through.actors.update(broker.actors)
    through.queues.update(broker.queues)
    start_worker(broker=through)
    job_id = work.send().message_id
    assert begun.wait(10)
    proxy.refuse()
    go_on.set()
    eventually(lambda: seconds)
    proxy.heal()
    eventually(lambda: ended(broker, job_id), 30)
    assert len(messages(broker, job_id)) == 100
    assert seconds[0] < 1
