"""A sleeping queue tells the operator of its first job: once, whatever way the job comes, and none is missed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobyard.batch import Batch
from jobyard.broker import JobyardBroker, keys
from jobyard.broker.delivery import FollowUp
from jobyard.broker.envelope import seal
from jobyard.testing import MemoryBroker
from jobyard_operator.redis.policy import hold
from jobyard_operator.redis.wakeup import Listener, sleep
from support.hand import Hand, message
from support.proxy import Proxy
from support.servers import Kind, Server
from support.waiting import eventually
from support.walk import Walk

MakeHand = Callable[..., Hand]
Send = Callable[..., str]


@pytest.fixture
def woken(broker: JobyardBroker) -> Iterator[list[str]]:
    """What the operator hears."""
    heard: list[str] = []
    listener = Listener(broker, heard.append)
    listener.start()
    eventually(lambda: heard == [""], what="it listens")
    heard.clear()
    yield heard
    listener.stop()


def is_asleep(broker: JobyardBroker, queue: str = "q") -> bool:
    return bool(broker.server.client().hexists(broker.keys(queue)["policy"], "asleep"))


def assert_woken(broker: JobyardBroker, woken: list[str], *queues: str) -> None:
    """These, and no others: what is published afterwards comes afterwards."""
    broker.server.client().publish(keys.operator_channel(broker.namespace), "the end")
    eventually(lambda: "the end" in woken)
    assert sorted(woken[: woken.index("the end")]) == sorted(queues)
    woken.clear()


def test_the_first_job_wakes_a_queue_and_the_next_ones_say_nothing(
    broker: JobyardBroker, woken: list[str], send: Send
) -> None:
    assert sleep(broker, "q", 1)
    assert sleep(broker, "q", 1)
    send("other")
    assert_woken(broker, woken)
    send()
    send()
    assert not is_asleep(broker)
    assert_woken(broker, woken, "q")


def test_a_job_that_is_known_or_rejected_wakes_nobody(
    broker: JobyardBroker, woken: list[str], hand: MakeHand, send: Send
) -> None:
    worker = hand()
    done = send()
    worker.done(worker.fetch_one())
    assert sleep(broker, "q", 1)
    send(job_id=done)
    assert is_asleep(broker)
    assert_woken(broker, woken)


@pytest.mark.parametrize("there", ["waiting", "active", "parked", "delayed", "due"])
def test_a_queue_that_is_not_empty_does_not_fall_asleep(
    broker: JobyardBroker, hand: MakeHand, send: Send, there: str
) -> None:
    if there == "waiting":
        send()
    elif there == "active":
        send()
        hand().fetch_one()
    elif there == "parked":
        send()
        client, name = broker.server.client(), broker.keys("q")
        (job_id,) = client.zrange(name["ready"], 0, -1)
        client.zrem(name["ready"], job_id)
        client.zadd(name["parked"], {b"k\0" + b"0" * 17 + b"\0" + job_id: 0})
    else:
        job_id = send(delay=60_000)
        if there == "due":
            broker.server.client().zincrby(broker.keys("q")["scheduled"], -70_000, job_id)
    assert not sleep(broker, "q", 1)
    assert not is_asleep(broker)
    assert sleep(broker, "q", 1, ahead=30) == (there == "delayed")
    if there == "parked":
        broker.flush("q")
        client.delete(name["jobs"])


def test_delayed_jobs_that_the_operator_knows_of_do_not_keep_a_queue_awake(
    broker: JobyardBroker, woken: list[str], hand: MakeHand, send: Send
) -> None:
    job_id = send(delay=60_000)
    assert not sleep(broker, "q", 1, ahead=70)
    assert sleep(broker, "q", 1, ahead=50)
    broker.server.client().zincrby(broker.keys("q")["scheduled"], -70_000, job_id)
    assert hand().ids() == [job_id]  # A worker is there all the same, and finds that it is due.
    assert_woken(broker, woken, "q")


def revive(broker: JobyardBroker, worker: Hand, *, delay: float) -> None:
    broker.enqueue(message())
    worker.bury(worker.fetch_one())
    assert sleep(broker, "q", 1)
    broker.dead_letters.retry_all("q", rate=1 / delay if delay else None)


def follow(broker: JobyardBroker, worker: Hand) -> None:
    broker.enqueue(message("other"))
    job = worker.fetch_one()
    assert sleep(broker, "q", 1)
    job.follow_ups.append(FollowUp("q", "next", seal(message(), 5), 5, 0))
    worker.done(job)


def call_back(broker: JobyardBroker, worker: Hand) -> None:
    Batch([message("other")], on_success=message("q"), broker=broker).enqueue()
    job = worker.fetch_one()
    assert sleep(broker, "q", 1)
    worker.done(job)
    eventually(lambda: broker.inspector.stats("q").waiting)


WAYS: dict[str, Callable[[JobyardBroker, Hand], Any]] = {
    "delayed": lambda broker, worker: (sleep(broker, "q", 1), broker.enqueue(message(), delay=90_000)),
    "many": lambda broker, worker: (sleep(broker, "q", 1), broker.enqueue_many([message() for _ in range(2500)])),
    "held": lambda broker, worker: (sleep(broker, "q", 1), hold(broker, "q", 1, "why"), broker.enqueue(message())),
    "paused": lambda broker, worker: (sleep(broker, "q", 1), broker.pause("q"), broker.enqueue(message())),
    "revived": lambda broker, worker: revive(broker, worker, delay=0),
    "revived slowly": lambda broker, worker: revive(broker, worker, delay=30),
    "follow-up": follow,
    "callback of a batch": call_back,
}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_way_a_job_comes_it_wakes_the_queue_once(
    broker: JobyardBroker, woken: list[str], hand: MakeHand, way: str
) -> None:
    WAYS[way](broker, hand("q", "other"))
    assert not is_asleep(broker)
    assert_woken(broker, woken, "q")


def test_a_queue_s_name_comes_as_it_is(broker: JobyardBroker, woken: list[str], send: Send) -> None:
    for name in ("a/b.c-d_1", "jobs", "Q"):
        sleep(broker, name, 1)
        send(name)
        assert_woken(broker, woken, name)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_can_run_in_a_queue_that_sleeps(broker: JobyardBroker, hand: MakeHand, seed: int) -> None:
    """Random moves, and an operator that puts queues to sleep whenever it can."""
    walk, chance = Walk(broker, hand, seed), random.Random(seed)
    client, slept = broker.server.client(), 0
    for _ in range(400):
        walk.step()
        queue = chance.choice(walk.queues)
        if chance.random() < 0.3:
            broker.flush(queue)
        sleep(broker, queue, 1, ahead=chance.choice([None, 0.05]))
        for name in walk.queues:
            if is_asleep(broker, name):
                slept += 1
                assert not any(client.exists(broker.keys(name)[place]) for place in ("ready", "active", "parked"))
    assert slept


def test_no_job_is_missed_while_queues_fall_asleep_and_wake(
    broker: JobyardBroker, woken: list[str], hand: MakeHand
) -> None:
    """As an operator acts: sleep when it can; when told, or when it couldn't, work. Producers don't wait for that."""
    count = 300

    def produce() -> None:
        for number in range(count):
            broker.enqueue(message(job_id=f"job-{number}"))
            time.sleep(random.Random(number).random() * 0.004)
        broker.close()

    worker = hand()
    producer = threading.Thread(target=produce)
    producer.start()
    done, nights = 0, 0
    deadline = time.monotonic() + 30
    while done < count and time.monotonic() < deadline:
        if sleep(broker, "q", 1):
            nights += 1
            eventually(lambda: woken, 5, what="the queue is woken")
            woken.clear()
        for job in worker.fetch(10):
            worker.done(job)
            done += 1
    producer.join()
    assert done == count
    assert nights > 10


# The listener ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_after_a_break_it_listens_again_and_says_so(
    start_server: Callable[..., Server], make_broker: Callable[..., JobyardBroker], kind: Kind
) -> None:
    own = start_server(kind)
    broker = make_broker(own.url)
    heard: list[str] = []
    listener = Listener(broker, heard.append)
    listener.start()
    eventually(lambda: heard == [""])
    assert sleep(broker, "q", 1)
    own.kill()
    own.start()
    eventually(lambda: heard == ["", ""])
    broker.enqueue(message())
    eventually(lambda: heard == ["", "", "q"])  # The flag has outlived the restart.
    listener.stop()


def test_it_begins_when_the_server_does(
    start_server: Callable[..., Server],
    start_proxy: Callable[[int], Proxy],
    make_broker: Callable[..., JobyardBroker],
    caplog: pytest.LogCaptureFixture,
) -> None:
    proxy = start_proxy(start_server("valkey").port)
    proxy.refuse()
    heard: list[str] = []
    listener = Listener(make_broker(proxy.url), heard.append)
    listener.start()
    eventually(lambda: "Wake-ups are not heard" in caplog.text)
    assert heard == []
    proxy.heal()
    eventually(lambda: heard == [""])
    begun = time.monotonic()
    listener.stop()
    assert time.monotonic() - begun < 3


@pytest.mark.slow
def test_a_connection_that_is_dead_without_a_word_is_left(
    start_server: Callable[..., Server], start_proxy: Callable[[int], Proxy], make_broker: Callable[..., JobyardBroker]
) -> None:
    proxy = start_proxy(start_server("valkey").port)
    heard: list[str] = []
    listener = Listener(make_broker(proxy.url), heard.append)
    listener.start()
    eventually(lambda: heard == [""])
    time.sleep(6)  # It asks whether anybody is there, and somebody is.
    assert heard == [""]
    before = proxy.accepted
    proxy.silence()
    eventually(lambda: proxy.accepted > before, 20, what="another connection is made")
    proxy.heal()
    eventually(lambda: heard == ["", ""], 20)
    listener.stop()


def test_what_the_callback_raises_does_not_end_it(
    broker: JobyardBroker, send: Send, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def take(name: str) -> None:
        heard.append(name)
        raise RuntimeError("on purpose")

    listener = Listener(broker, take)
    listener.start()
    eventually(lambda: heard == [""])
    for name in ("q", "other"):
        sleep(broker, name, 1)
        send(name)
    eventually(lambda: heard == ["", "q", "other"])
    listener.stop()
    assert caplog.text.count("was not taken") == 3


def test_a_broker_in_memory_has_the_same_scripts() -> None:
    broker = MemoryBroker()
    assert sleep(broker, "q", 1)
    broker.enqueue(message())
    assert not sleep(broker, "q", 1)
    broker.close()
