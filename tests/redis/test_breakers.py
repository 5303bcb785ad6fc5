"""Circuit breakers: a dependency that fails is left alone, tried by one job at a time, and nothing is lost meanwhile."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.errors import RateLimitExceeded
from dramatiq.middleware import Shutdown, TimeLimitExceeded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobyard import Cancelled, HeartbeatTimeout, PermanentError, RetryAfter
from jobyard.broker import JobyardBroker
from jobyard.broker.breakers import Breaker
from jobyard.broker.delivery import Delivery
from jobyard.broker.policy import QueuePolicy
from jobyard.middleware.dependencies import is_outage
from support.hand import Hand, look_up, message
from support.proxy import Proxy
from support.waiting import eventually

MakeHand = Callable[..., Hand]


@pytest.fixture(autouse=True)
def policy(broker: JobyardBroker) -> None:
    broker.configure("q", QueuePolicy(breaker_failures=3, breaker_pause=60_000))


def send(broker: JobyardBroker, many: int = 1, first: int = 0, **options: Any) -> list[str]:
    jobs = [message("q", n, job_id=f"job-{n}", dependency="smtp", **options) for n in range(first, first + many)]
    broker.enqueue_many(jobs)
    return [job.message_id for job in jobs]


def fail(worker: Hand, delivery: Delivery, *, delay: int = 600_000) -> None:
    delivery.outage = True
    worker.retry(delivery, delay)


def open_it(broker: JobyardBroker, worker: Hand) -> None:
    """Three failures in a row, of jobs that come back later."""
    send(broker, 3, first=1000)
    for _ in range(3):
        fail(worker, worker.fetch_one())
    assert breaker(broker).state == "open"


def breaker(broker: JobyardBroker) -> Breaker:
    (found,) = broker.breakers.list("q")
    return found


def pause_over(broker: JobyardBroker) -> None:
    """As if the pause were over."""
    broker.breakers.open("q", "smtp", 1)
    now = broker.inspector.stats("q").now
    eventually(lambda: broker.inspector.stats("q").now > now + 1)


def test_failures_in_a_row_hold_the_jobs_of_the_dependency_and_no_others(broker: JobyardBroker, hand: MakeHand) -> None:
    worker = hand()
    open_it(broker, worker)
    held = send(broker, 5)
    other = broker.enqueue(message("q", dependency="http")).message_id
    plain = broker.enqueue(message("q")).message_id
    assert worker.ids(10) == [other, plain]
    assert {look_up(broker, job).state for job in held} == {"parked"}
    assert {look_up(broker, job).attempts for job in held} == {0}
    found = breaker(broker)
    assert (found.dependency, found.held, found.failures) == ("smtp", 5, 3)
    assert found.probe_at is not None
    assert found.since is not None
    assert found.probe_at - found.since == 60_000


def test_a_success_in_between_forgets_the_failures(broker: JobyardBroker, hand: MakeHand) -> None:
    worker = hand()
    send(broker, 5)
    for _ in range(2):
        fail(worker, worker.fetch_one())
    worker.done(worker.fetch_one())
    assert broker.breakers.list("q") == []
    for _ in range(2):
        fail(worker, worker.fetch_one())
    assert breaker(broker).state == "closed"


def test_after_the_pause_one_job_tries_and_its_success_brings_all_back_in_their_order(
    broker: JobyardBroker, hand: MakeHand
) -> None:
    worker, other = hand(), hand()
    open_it(broker, worker)
    held = send(broker, 5)
    assert worker.ids(10) == []
    pause_over(broker)
    probe = worker.fetch_one()
    assert probe.message_id == held[0]
    assert other.ids(10) == [], "only one tries, in the whole fleet"
    assert (breaker(broker).state, breaker(broker).probe) == ("half-open", held[0])
    worker.done(probe)
    assert other.ids(10) == held[1:]
    assert broker.breakers.list("q") == []


def test_a_probe_that_fails_doubles_the_pause_up_to_the_maximum(broker: JobyardBroker, hand: MakeHand) -> None:
    broker.configure("q", QueuePolicy(breaker_pause=1, breaker_pause_max=3))
    worker = hand()
    open_it(broker, worker)
    send(broker, 4)
    seen = []
    for _ in range(3):
        before = worker.fetch(1)
        while not before:
            before = worker.fetch(1)
        fail(worker, before[0])
        found = breaker(broker)
        assert found.probe_at is not None
        ended = look_up(broker, before[0].message_id).errors[-1]["ended_at"]
        seen.append(found.probe_at - ended)
    assert seen == [2, 3, 3]


@pytest.mark.parametrize("end", ["back", "cancelled", "later", "lease", "dead by its own fault"])
def test_a_probe_that_shows_nothing_is_followed_by_another(broker: JobyardBroker, hand: MakeHand, end: str) -> None:
    worker, other = hand(lease=0.05 if end == "lease" else 15), hand()
    open_it(broker, worker)
    held = send(broker, 3)
    assert worker.ids(10) == []
    pause_over(broker)
    probe = worker.fetch_one()
    if end == "back":
        worker.back(probe)
    elif end == "cancelled":
        broker.cancel(probe.message_id, queue="q")
        worker.back(probe)
    elif end == "later":
        worker.retry(probe, 600_000, counted=False)
    elif end == "dead by its own fault":
        worker.bury(probe)
    found: list[str] = []
    eventually(lambda: bool(found.extend(other.ids(10)) or found), 30, what="another one tries")
    assert len(found) == 1
    assert found[0] in held
    assert breaker(broker).probe == found[0]


def test_jobs_that_were_running_when_it_opened_neither_close_nor_prolong_it(
    broker: JobyardBroker, hand: MakeHand
) -> None:
    worker = hand()
    send(broker, 5)
    running = worker.fetch(5)
    for delivery in running[:3]:
        fail(worker, delivery)
    opened = breaker(broker)
    fail(worker, running[3])
    worker.done(running[4])
    assert breaker(broker) == opened


def test_held_jobs_can_be_cancelled_discarded_and_expire(broker: JobyardBroker, hand: MakeHand) -> None:
    worker = hand()
    open_it(broker, worker)
    cancelled, _ = send(broker, 2)
    (expired,) = send(broker, 1, first=10, expires=30)
    assert worker.ids(10) == []
    assert broker.cancel(cancelled, queue="q") == "parked"
    eventually(lambda: worker.ids(1) == [] and look_up(broker, expired).state == "dead", 30)
    broker.flush("q")
    assert broker.inspector.stats("q").parked == 0


def test_a_job_with_a_key_and_a_dependency_is_held_by_both(broker: JobyardBroker, hand: MakeHand) -> None:
    broker.configure("q", QueuePolicy(key_concurrency=1))
    worker = hand()
    open_it(broker, worker)
    held = send(broker, 3, key="acme")
    assert worker.ids(10) == []
    pause_over(broker)
    probe = worker.fetch_one()
    worker.done(probe)
    second = worker.fetch(10)
    assert [one.message_id for one in second] == held[1:2]
    worker.done(second[0])
    assert worker.ids(10) == held[2:]


def test_a_held_job_leaves_the_slot_of_its_key_to_others(broker: JobyardBroker, hand: MakeHand) -> None:
    broker.configure("q", QueuePolicy(key_concurrency=1))
    worker = hand()
    broker.enqueue(message("q", job_id="first", key="acme"))
    first = worker.fetch_one()
    (both,) = send(broker, key="acme")
    broker.enqueue(message("q", job_id="after", key="acme"))
    assert worker.ids(10) == []
    broker.breakers.open("q", "smtp", 600_000)
    worker.done(first)  # It is `both` that this calls to the head.
    after = worker.fetch_one()
    assert after.message_id == "after"
    broker.breakers.close("q", "smtp")
    assert worker.ids(10) == [], "the slot of the key is taken"
    worker.done(after)
    assert worker.ids(10) == [both]


def test_a_change_of_the_policy_moves_no_held_job(broker: JobyardBroker, hand: MakeHand) -> None:
    broker.breakers.open("q", "smtp", 600_000)
    send(broker, 3)
    assert hand().ids(10) == []
    broker.configure("q", QueuePolicy(concurrency=5))
    assert breaker(broker).held == 3


def test_the_last_error_is_told(broker: JobyardBroker, hand: MakeHand) -> None:
    worker = hand()
    open_it(broker, worker)
    assert breaker(broker).last_error == "RuntimeError: on purpose"
    send(broker)
    pause_over(broker)
    assert breaker(broker).last_error == "RuntimeError: on purpose"
    worker.done(worker.fetch_one())
    worker.ids()
    assert broker.breakers.list("q") == []


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (ConnectionError("down"), True),
        (TimeLimitExceeded("hung"), True),
        (HeartbeatTimeout("hung"), True),
        (RateLimitExceeded("our own limiter"), False),
        (PermanentError("the job's fault"), False),
        (Cancelled(), False),
        (Shutdown("goodbye"), False),
    ],
)
def test_what_speaks_against_a_dependency(error: BaseException, counts: bool) -> None:
    assert is_outage(error, {"dependency": "smtp"}, {}) == counts
    assert not is_outage(error, {}, {})


def test_held_jobs_are_not_polled_for(broker: JobyardBroker, start_worker: Callable[..., Any]) -> None:
    many = 10_000
    broker.breakers.open("q", "smtp", 600_000)
    send(broker, many)
    start_worker(queues=["q"])
    start_worker(queues=["q"])
    eventually(lambda: broker.inspector.stats("q").parked == many, 60)
    client = broker.server.client()
    with client.monitor() as monitor:
        # Only what names this queue counts, since others use the server too.
        ours, until = [], time.monotonic() + 2
        while time.monotonic() < until:
            client.ping()
            seen = monitor.next_command()["command"]
            if broker.namespace in seen and "EVALSHA" in seen.upper():
                ours.append(seen)
    assert len(ours) <= 8, "two idle workers look now and then, and not for each job"


@pytest.mark.parametrize("seed", range(6))
def test_it_goes_through_its_states_as_a_model_says(broker: JobyardBroker, hand: MakeHand, seed: int) -> None:
    chance = random.Random(seed)
    worker = hand()
    failures, opened, due, number = 0, False, False, 0
    running: list[Delivery] = []
    probe: Delivery | None = None
    for _ in range(60):
        step = chance.choice(["start", "start", "succeed", "fail", "fail", "give back", "wait"])
        if step == "wait":
            if opened and not due:
                # As if the pause were over; its length stays.
                client, key = broker.server.client(), broker.keys("q")["breakers"]
                state, count, _, rest = client.hget(key, "smtp").split(b" ", 3)
                client.hset(key, "smtp", b" ".join([state, count, b"1", rest]))
                due = True
        elif step == "start":
            number += 1
            send(broker, first=number)
            found = worker.fetch(1)
            assert bool(found) == (not opened or (due and probe is None))
            running += found
            if opened and found:
                (probe,) = found
        elif running:
            one = running.pop(chance.randrange(len(running)))
            tried = one is probe
            probe = None if tried else probe
            if step == "succeed":
                worker.done(one)
                if tried or not opened:
                    failures, opened, due = 0, False, False
            elif step == "fail":
                fail(worker, one)
                if tried or not opened:
                    failures += 1
                    opened, due = failures >= 3, False
            else:
                worker.back(one)
        (state, count) = next(((one.state, one.failures) for one in broker.breakers.list("q")), ("closed", 0))
        assert count == failures
        assert state in (("open", "half-open") if due else ("open",) if opened else ("closed",))
        assert (state == "half-open") >= (probe is not None)


def test_it_is_opened_and_closed_by_hand(broker: JobyardBroker, hand: MakeHand) -> None:
    worker = hand()
    broker.breakers.open("q", "smtp", 60_000)
    held = send(broker, 2)
    assert worker.ids(10) == []
    assert broker.breakers.close("q", "smtp")
    assert worker.ids(10) == held
    assert not broker.breakers.close("q", "smtp")
    with pytest.raises(ValueError, match="more than 0"):
        broker.breakers.open("q", "smtp", 0)


def test_thousands_come_back_page_by_page(broker: JobyardBroker, hand: MakeHand) -> None:
    worker = hand()
    broker.breakers.open("q", "smtp", 60_000)
    held = send(broker, 2_500)
    while broker.inspector.stats("q").parked < 2_500:
        assert worker.ids(10) == []
    broker.breakers.close("q", "smtp")
    found: list[str] = []
    for _ in range(2_500 // 100 + 10):
        some = worker.fetch(100)
        found += [one.message_id for one in some]
        for one in some:
            worker.dispatcher.settle(one)
    assert sorted(found) == sorted(held)
    assert broker.breakers.list("q") == []


def test_a_reply_that_is_lost_counts_a_failure_once(
    broker: JobyardBroker,
    make_broker: Callable[..., JobyardBroker],
    start_proxy: Callable[[int], Proxy],
    hand: MakeHand,
) -> None:
    port = broker.client.connection_pool.connection_kwargs["port"]
    proxy = start_proxy(port)
    worker = hand(broker=make_broker(proxy.url))
    send(broker, 3)
    for expected in (1, 2):
        delivery = worker.fetch_one()
        proxy.lose_replies(1, containing=b"EVALSHA")
        fail(worker, delivery)
        assert breaker(broker).failures == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(st.sampled_from(["works", "fails", "own fault", "time"]), max_size=25), st.data())
def test_never_does_more_than_one_job_try_and_none_is_lost(
    broker: JobyardBroker, hand: MakeHand, steps: list[str], data: st.DataObject
) -> None:
    """Any order of ends: while it isn't closed at most the probe starts, and in the end all jobs come through."""
    name = f"q{message().message_id}"
    broker.configure(name, QueuePolicy(breaker_failures=2, breaker_pause=60_000))
    worker = hand(name)
    broker.enqueue_many(message(name, n, dependency="smtp") for n in range(12))
    running: list[Delivery] = []
    for step in steps:
        closed = all(one.state == "closed" for one in broker.breakers.list(name))
        started = worker.fetch(2)
        assert closed or len(started) <= 1
        running += started
        if step == "time":
            if not closed:
                broker.breakers.open(name, "smtp", 1)
                now = broker.inspector.stats(name).now
                eventually(lambda now=now: broker.inspector.stats(name).now > now + 1)
        elif running:
            one = running.pop(data.draw(st.integers(0, len(running) - 1)))
            if step == "works":
                worker.done(one)
            elif step == "fails":
                fail(worker, one, delay=0)
            else:
                worker.bury(one)
        stats = broker.inspector.stats(name)
        assert stats.lost == 0
        assert stats.orphaned == 0
    for one in running:
        worker.done(one)
    broker.breakers.close(name, "smtp")
    for _ in range(40):
        for one in worker.fetch(5):
            worker.done(one)
    stats = broker.inspector.stats(name)
    assert stats.completed + stats.dead == 12


def test_actors_say_which_errors_count(broker: JobyardBroker, start_worker: Callable[..., Any]) -> None:
    @dramatiq.actor(queue_name="q", dependency="smtp", max_retries=0, breaker_errors=(OSError,))
    def narrow(error: str) -> None:
        raise {"value": ValueError, "os": ConnectionError}[error]("on purpose")

    @dramatiq.actor(queue_name="q", dependency="http", max_retries=0, throws=(KeyError,))
    def wide(error: str) -> None:
        raise {
            "permanent": PermanentError("no"), "throws": KeyError("no"), "value": ValueError("no"),
            "later": RetryAfter(600),
        }[error]  # fmt: skip

    start_worker(threads=1)
    for actor, error in ((narrow, "value"), (wide, "permanent"), (wide, "throws"), (wide, "later")):
        actor.send(error)
    eventually(lambda: broker.inspector.stats("q").dead == 3 and broker.inspector.stats("q").delayed == 1, 30)
    assert broker.breakers.list("q") == []
    narrow.send("os")
    wide.send("value")
    eventually(lambda: broker.inspector.stats("q").dead == 5, 30)
    assert [(one.dependency, one.failures) for one in broker.breakers.list("q")] == [("http", 1), ("smtp", 1)]


def test_a_fleet_recovers_by_itself(broker: JobyardBroker, start_worker: Callable[..., Any]) -> None:
    broker.configure("q", QueuePolicy(breaker_failures=3, breaker_pause=200, breaker_pause_max=200))
    up = threading.Event()
    attempts = []

    @dramatiq.actor(queue_name="q", dependency="smtp", min_backoff=10, max_backoff=10, max_retries=50)
    def work(number: int) -> None:
        attempts.append(number)
        if not up.is_set():
            raise ConnectionError("it is down")

    for _ in range(2):
        start_worker(threads=2)
    for number in range(40):
        work.send(number)
    eventually(lambda: any(one.state == "open" for one in broker.breakers.list("q")), 30)
    eventually(lambda: broker.inspector.stats("q").parked >= 30, 30)
    up.set()
    eventually(lambda: broker.inspector.stats("q").completed == 40, 60, what="all are done")
    assert broker.breakers.list("q") == []
    assert len(attempts) < 40 * 3, "jobs that are held use no attempts"
