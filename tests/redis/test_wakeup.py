"""Idle workers cost next to nothing, and still start a job within milliseconds."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.worker.worker import JobyardWorker
from support.hand import Hand, Idler, look_up, message
from support.proxy import Proxy
from support.servers import Server
from support.waiting import eventually


@pytest.fixture
def idlers(hand: Callable[..., Hand]) -> Iterator[Callable[[int], list[Idler]]]:
    made: list[Idler] = []

    def make(many: int) -> list[Idler]:
        new = [Idler(hand()) for _ in range(many)]
        made.extend(new)
        eventually(lambda: all(one.looks for one in new))
        time.sleep(0.1)  # Until the first look of each is over.
        return new

    yield make
    for one in made:
        one.stop()


@contextmanager
def commands_of(server: Server) -> Iterator[dict[str, int]]:
    """Counts the commands that the server gets, by name."""
    counted: dict[str, int] = {}

    def read() -> dict[str, int]:
        stats = server.command("INFO", "commandstats")
        return {name: stat["calls"] for name, stat in stats.items()}

    before = read()
    yield counted
    for name, calls in read().items():
        counted[name.removeprefix("cmdstat_")] = calls - before.get(name, 0)


def test_an_idle_worker_starts_a_job_within_milliseconds(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> int:
        return time.perf_counter_ns()

    start_worker()
    took = []
    for _ in range(20):
        time.sleep(0.02)
        begun = time.perf_counter_ns()
        took.append((work.send().get_result(block=True) - begun) / 1e6)
    assert statistics.median(took) < 10, took


@pytest.mark.parametrize("threads", [1, 4])
def test_a_busy_worker_with_free_threads_starts_a_job_within_milliseconds(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], threads: int
) -> None:
    release = threading.Event()

    @dramatiq.actor(queue_name="q")
    def block() -> None:
        release.wait(10)

    @dramatiq.actor(queue_name="q")
    def work() -> int:
        return time.perf_counter_ns()

    start_worker(threads=threads)
    if threads == 1:
        # One that is busy altogether must not keep the job from an idle one.
        start_worker(threads=1)
    block.send()
    time.sleep(0.2)
    begun = time.perf_counter_ns()
    took = (work.send().get_result(block=True) - begun) / 1e6
    release.set()
    assert took < 100


def test_an_idle_fleet_costs_next_to_nothing(
    server: Server, longest: float, idlers: Callable[[int], list[Idler]]
) -> None:
    fleet = idlers(20)
    with commands_of(server) as commands:
        time.sleep(2 * longest)
    asked = commands.get("evalsha", 0) + commands.get("eval", 0)
    # Each asks and waits twice in that time: in earnest that is once in five seconds.
    assert 0 < commands["blpop"] + asked <= 2 * 2 * len(fleet) * 1.3, commands


def test_a_job_wakes_one_idle_worker(
    server: Server, broker: JobyardBroker, idlers: Callable[[int], list[Idler]], send: Callable[..., str]
) -> None:
    fleet = idlers(20)
    looks = sum(one.looks for one in fleet)
    job_id = send()
    eventually(lambda: any(one.took == [job_id] for one in fleet), 2)
    time.sleep(0.1)
    assert sum(one.looks for one in fleet) - looks <= 2


def test_a_due_job_wakes_one_idle_worker(
    broker: JobyardBroker, idlers: Callable[[int], list[Idler]], send: Callable[..., str]
) -> None:
    fleet = idlers(20)
    job_id = send(delay=400)
    due = look_up(broker, job_id).due_at
    time.sleep(0.1)  # Somebody is chosen to wait for it.
    looks = sum(one.looks for one in fleet)
    eventually(lambda: any(one.took == [job_id] for one in fleet), 2)
    assert look_up(broker, job_id).started_at - due < 50
    time.sleep(0.1)
    # The one that waited; it found more than nothing, so perhaps it called another.
    assert sum(one.looks for one in fleet) - looks <= 3


def test_a_job_that_becomes_due_sooner_is_not_missed(
    broker: JobyardBroker, idlers: Callable[[int], list[Idler]], send: Callable[..., str]
) -> None:
    fleet = idlers(3)
    send(delay=4000)
    time.sleep(0.05)
    soon = send(delay=200)
    due = look_up(broker, soon).due_at
    eventually(lambda: any(one.took == [soon] for one in fleet), 2)
    assert look_up(broker, soon).started_at - due < 50


def test_many_jobs_at_once_wake_many_workers(broker: JobyardBroker, idlers: Callable[[int], list[Idler]]) -> None:
    fleet = idlers(10)
    broker.enqueue_many([message() for _ in range(200)])
    eventually(lambda: sum(len(one.took) for one in fleet) == 200)
    assert sum(bool(one.took) for one in fleet) > 1


def test_when_the_worker_that_waits_for_the_next_due_job_dies_another_takes_over(
    broker: JobyardBroker,
    hand: Callable[..., Hand],
    longest: float,
    idlers: Callable[[int], list[Idler]],
    send: Callable[..., str],
) -> None:
    send(delay=500)
    keeper = hand()
    assert keeper.ids() == []
    assert keeper.last.wait < 1  # It is the one that shall wait for it, and never will.
    (idler,) = idlers(1)
    eventually(lambda: idler.took, longest + 0.5)


def test_a_call_that_reaches_a_worker_which_stops_is_passed_on(
    server: Server,
    broker: JobyardBroker,
    make_broker: Callable[..., JobyardBroker],
    start_proxy: Callable[[int], Proxy],
    hand: Callable[..., Hand],
    send: Callable[..., str],
) -> None:
    """It took the token out; if it went away with it, the job would wait until somebody looks by himself."""
    proxy = start_proxy(server.port)
    leaving = Idler(hand(broker=make_broker(proxy.url)))
    eventually(lambda: any(client["cmd"] == "blpop" for client in broker.server.client().client_list()))
    proxy.delay(0.3)
    job_id = send()
    wake = broker.keys("q")["wake"]
    eventually(lambda: broker.server.client().llen(wake) == 0)
    leaving.stop()
    assert leaving.took == []
    assert broker.server.client().llen(wake) == 1
    assert look_up(broker, job_id).state == "waiting"


def test_waiting_ends_at_once_when_the_worker_stops(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    idler = Idler(hand())
    eventually(lambda: idler.looks)
    time.sleep(0.05)
    begun = time.monotonic()
    idler.stop()
    assert time.monotonic() - begun < 3, "it would have waited 5 s"
    assert not idler._thread.is_alive()
