"""The ways in which Dramatiq's Redis broker is known to lose, double or strand a job: none of them is ours.

In the order of the table in the reference on Dramatiq. Each with real workers, and on a real server or network that fails.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import UNREADABLE
from jobyard.worker.worker import JobyardWorker
from support.hand import Hand, look_up, message
from support.proxy import Proxy
from support.servers import Kind, Server
from support.waiting import eventually

StartWorker = Callable[..., JobyardWorker]
StartProxy = Callable[[int], Proxy]
MakeBroker = Callable[..., JobyardBroker]


class Runs:
    """Which jobs have run, and how often."""

    def __init__(self) -> None:
        self.count: Counter[object] = Counter()
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def note(self, job: object) -> None:
        self.count[job] += 1
        self.begun.set()


@pytest.fixture
def runs() -> Runs:
    return Runs()


def state(broker: JobyardBroker, job_id: str) -> str:
    job = look_up(broker, job_id)
    return "unknown" if job is None else job.state


def test_1_the_jobs_of_a_killed_worker_run_again_when_their_lease_ends(
    broker: JobyardBroker, hand: Callable[..., Hand], start_worker: StartWorker, runs: Runs
) -> None:
    @dramatiq.actor(queue_name="q")
    def work(number: int) -> None:
        runs.note(number)

    start_worker(lease=3)
    broker.pause("q")
    for number in range(5):
        work.send(number)
    broker.resume("q")
    eventually(lambda: len(runs.count) == 5)
    broker.pause("q")
    jobs = [work.send(number) for number in range(5, 10)]
    broker.resume("q")
    # The survivor is idle; the one that gets them first is killed.
    killed = hand(lease=0.5)
    held = killed.fetch(5)
    begun = time.monotonic()
    eventually(lambda: all(state(broker, job.message_id) == "completed" for job in jobs), 3)
    assert time.monotonic() - begun < 1.5
    assert sum(runs.count.values()) == 10
    assert len(held) <= 5


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_2_a_job_that_fails_while_redis_is_away_is_retried(
    start_server: Callable[..., Server], make_broker: MakeBroker, start_worker: StartWorker, runs: Runs, kind: Kind
) -> None:
    own = start_server(kind)
    broker = make_broker(own.url)

    @dramatiq.actor(queue_name="q", broker=broker, min_backoff=10, max_backoff=20)
    def work() -> str:
        runs.note("work")
        if runs.count["work"] == 1:
            runs.go_on.wait(10)
            raise ValueError("while Redis is away")
        return "done"

    start_worker(broker=broker)
    sent = work.send()
    assert runs.begun.wait(5)
    own.kill()
    runs.go_on.set()
    time.sleep(0.2)
    own.start()
    eventually(lambda: state(broker, sent.message_id) == "completed")
    job = look_up(broker, sent.message_id)
    assert (job.attempts, [error["error"] for error in job.errors]) == (2, ["ValueError"])


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_3_and_4_delayed_jobs_outlive_a_restart_of_redis_also_those_that_become_due_meanwhile(
    start_server: Callable[..., Server], make_broker: MakeBroker, start_worker: StartWorker, runs: Runs, kind: Kind
) -> None:
    own = start_server(kind)
    broker = make_broker(own.url)

    @dramatiq.actor(queue_name="q", broker=broker)
    def work(number: int) -> None:
        runs.note(number)

    worker = start_worker(broker=broker)
    for number in range(50):
        work.send_with_options(args=[number], delay=100 + 20 * number)
    own.kill()
    time.sleep(0.5)
    own.start()
    eventually(lambda: len(runs.count) == 50, 5)
    assert set(runs.count.values()) == {1}
    assert worker.complaint() is None
    eventually(lambda: broker.inspector.stats("q").completed == 50)


@pytest.mark.parametrize("threads", [1, 4])
def test_5_jobs_whose_fetch_was_never_answered_run_once(
    server: Server,
    broker: JobyardBroker,
    make_broker: MakeBroker,
    start_proxy: StartProxy,
    start_worker: StartWorker,
    runs: Runs,
    threads: int,
) -> None:
    proxy = start_proxy(server.port)
    far = make_broker(proxy.url)

    @dramatiq.actor(queue_name="q", broker=far)
    def work(number: int) -> None:
        runs.note(number)

    broker.enqueue_many([work.message(number) for number in range(40)])
    proxy.lose_replies(5, containing=broker.namespace.encode())
    start_worker(broker=far, threads=threads)
    eventually(lambda: broker.inspector.stats("q").completed == 40)
    assert proxy.lost == 5
    assert set(runs.count.values()) == {1}
    assert broker.inspector.stats("q").counts.get("recovered", 0) == 0


def test_6_a_send_whose_reply_got_lost_runs_once(
    server: Server,
    broker: JobyardBroker,
    make_broker: MakeBroker,
    start_proxy: StartProxy,
    start_worker: StartWorker,
    runs: Runs,
) -> None:
    proxy = start_proxy(server.port)

    @dramatiq.actor(queue_name="q", broker=make_broker(proxy.url))
    def work(number: int) -> None:
        runs.note(number)

    broker.declare_actor(work)
    start_worker()
    for number in range(10):
        proxy.lose_replies(1, containing=b"[%d]" % number)
        work.send(number)
    assert proxy.lost == 10
    eventually(lambda: broker.inspector.stats("q").completed == 10)
    time.sleep(0.05)
    assert set(runs.count.values()) == {1}


DAMAGED = [
    b"",
    b"not json",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b'"abcdef"',
    b'["work"]',
    b'{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}',
    b'["work",[4],{},null,0,5]',
    b'["work",4,{},{},0,5]',
    b'["work",[4],[],{},0,5]',
    b"[7,[4],{},{},0,5]",
    b'["work",[4],{},{},null,5]',
    b'["work",[4],{},{},0,"urgent"]',
    b'["work",[4],{},{},0,5000]',
    b'["work",[4],{},{},0,1e400]',
    b"!",
    b"!x {}",
    b"!5 {}",
    b"!5 \x80\x04.",
    b"[" * 100_000,
]


def test_7_a_job_that_can_not_be_read_is_buried_and_its_neighbours_run(
    broker: JobyardBroker, start_worker: StartWorker, runs: Runs
) -> None:
    @dramatiq.actor(queue_name="q")
    def work(number: int) -> None:
        runs.note(number)

    sent = [work.message(number) for number in range(3 * len(DAMAGED))]
    broker.enqueue_many(sent)
    client, keys = broker.server.client(), broker.keys("q")
    damaged = sent[1::3]
    for one, envelope in zip(damaged, DAMAGED, strict=True):
        client.hset(keys["jobs"], one.message_id, envelope)
    worker = start_worker()
    eventually(lambda: broker.inspector.stats("q").waiting == broker.inspector.stats("q").active == 0)
    eventually(lambda: broker.inspector.stats("q").dead == len(DAMAGED))
    assert len(runs.count) == 2 * len(DAMAGED)
    assert worker.complaint() is None
    for one in damaged:
        job = look_up(broker, one.message_id)
        assert (job.actor, job.attempts, job.errors[0]["error"]) == (UNREADABLE, 1, "DecodeError")
    # They can be looked at, tried again when a newer version can read them, and discarded.
    assert broker.dead_letters.retry("q", [damaged[0].message_id]) == 1
    eventually(lambda: broker.inspector.stats("q").dead == len(DAMAGED))
    assert broker.dead_letters.discard_all("q") == len(DAMAGED)


def test_8_a_worker_that_stalled_for_longer_than_its_lease_is_stopped_and_its_end_does_not_count(
    server: Server,
    broker: JobyardBroker,
    make_broker: MakeBroker,
    start_proxy: StartProxy,
    start_worker: StartWorker,
) -> None:
    proxy = start_proxy(server.port)
    stalled = make_broker(proxy.url)
    ended: list[str] = []
    begun = threading.Event()

    def declare(where: JobyardBroker, name: str) -> dramatiq.Actor[[], str]:
        @dramatiq.actor(queue_name="q", broker=where, actor_name="work")
        def work() -> str:
            begun.set()
            try:
                while name == "stalled":
                    time.sleep(0.001)
            except BaseException as interrupt:
                ended.append(type(interrupt).__name__)
                raise
            return name

        return work

    work = declare(broker, "healthy")
    declare(stalled, "stalled")
    first = start_worker(broker=stalled, lease=0.5)
    sent = work.send()
    assert begun.wait(5)
    proxy.silence()
    start_worker(lease=0.5)
    assert sent.get_result(block=True, timeout=10_000) == "healthy"
    proxy.heal()
    eventually(lambda: ended == ["LeaseLost"], 10)
    eventually(lambda: first.tally.stale == 1)
    assert sent.get_result() == "healthy"
    assert broker.inspector.stats("q").completed == 1


def test_9_a_worker_whose_clock_is_wrong_takes_nobody_for_dead(
    broker: JobyardBroker,
    hand: Callable[..., Hand],
    send: Callable[..., str],
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = send()
    holder = hand()
    holder.fetch_one()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 120)
    start_worker(queues=["q"])
    time.sleep(0.3)
    assert look_up(broker, job_id).worker == holder.token


@pytest.mark.parametrize("lost", ["request", "reply"])
@pytest.mark.parametrize("ending", ["done", "retry", "bury"])
def test_10_a_worker_killed_while_it_ends_a_job_leaves_it_in_one_place(
    server: Server,
    broker: JobyardBroker,
    make_broker: MakeBroker,
    start_proxy: StartProxy,
    hand: Callable[..., Hand],
    send: Callable[..., str],
    lost: str,
    ending: str,
) -> None:
    proxy = start_proxy(server.port)
    job_id = send()
    worker = hand(broker=make_broker(proxy.url), patience=0.1)
    job = worker.fetch_one()
    if lost == "request":
        proxy.refuse()
    else:
        proxy.lose_replies(1000)
    with pytest.raises(Exception, match="no connection"):
        getattr(worker, ending)(job)
    # It is dead now, and somebody notices. The ledger is audited at the end.
    broker.revoke(worker.token, b'{"error":"WorkerDied"}')
    expected = {"done": "completed", "retry": "delayed", "bury": "dead"}[ending] if lost == "reply" else "waiting"
    assert state(broker, job_id) == expected
    assert broker.inspector.stats("q").envelopes == 1


def test_11_a_job_that_used_up_its_attempts_is_kept_with_all_its_errors(
    broker: JobyardBroker, start_worker: StartWorker
) -> None:
    @dramatiq.actor(queue_name="q", max_retries=2, min_backoff=1, max_backoff=2)
    def work() -> None:
        raise ValueError("on purpose")

    start_worker()
    sent = work.send()
    eventually(lambda: state(broker, sent.message_id) == "dead")
    job = look_up(broker, sent.message_id)
    assert [(error["attempt"], error["message"]) for error in job.errors] == [
        (1, "on purpose"),
        (2, "on purpose"),
        (3, "on purpose"),
    ]


# 12, a job that kills its worker: see test_leases.py, and tests/chaos with real processes.


@pytest.mark.parametrize("threads", [1, 4])
def test_13_a_job_whose_actor_this_worker_does_not_know_waits_for_one_that_does(
    broker: JobyardBroker,
    redis_url: str,
    make_broker: MakeBroker,
    start_worker: StartWorker,
    runs: Runs,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
) -> None:
    monkeypatch.setattr("jobyard.worker.runner.UNKNOWN_ACTOR_PAUSE", 50)
    old = start_worker(queues=["q"], threads=threads)
    sent = broker.enqueue(message("q", actor="new_actor"))
    eventually(lambda: state(broker, sent.message_id) == "delayed")
    newer = make_broker(redis_url)

    @dramatiq.actor(queue_name="q", broker=newer, actor_name="new_actor")
    def work() -> None:
        runs.note("new")

    start_worker(broker=newer)
    # The old one must not be the only one that is ever offered it.
    eventually(lambda: state(broker, sent.message_id) == "completed", 2)
    assert old.complaint() is None
    job = look_up(broker, sent.message_id)
    assert (runs.count["new"], job.attempts, job.errors) == (1, 1, [])


@pytest.mark.parametrize("age", [700, 86_400])
def test_13_that_holds_for_jobs_that_are_old_when_the_worker_first_sees_them(
    broker: JobyardBroker, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, age: int
) -> None:
    """A delayed job, a long backlog, a revived dead letter: their age says nothing about the roll-out."""
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() - age)
        sent = broker.enqueue(message("q", actor="new_actor"))
    start_worker(queues=["q"])
    eventually(lambda: state(broker, sent.message_id) in ("delayed", "dead"))
    assert state(broker, sent.message_id) == "delayed"


def test_13_but_not_for_ever(broker: JobyardBroker, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobyard.worker.runner.UNKNOWN_ACTOR_PAUSE", 20)
    monkeypatch.setattr("jobyard.worker.runner.UNKNOWN_ACTOR_PATIENCE", 200)
    start_worker(queues=["q"])
    sent = broker.enqueue(message("q", actor="misspelt"))
    eventually(lambda: state(broker, sent.message_id) == "dead")
    job = look_up(broker, sent.message_id)
    assert [error["error"] for error in job.errors] == ["ActorNotFound"]


# 14, a failover to a replica: see test_durability.py and test_sentinel.py.


def test_15_a_multitude_of_delayed_jobs_keeps_none_that_is_due_sooner(
    broker: JobyardBroker, start_worker: StartWorker, runs: Runs
) -> None:
    @dramatiq.actor(queue_name="q", min_backoff=20, max_backoff=40)
    def work(name: str) -> None:
        runs.note(name)
        if name == "retried" and runs.count[name] == 1:
            raise ValueError("on purpose")

    broker.enqueue_many([work.message("far") for _ in range(8200)], delay=3_600_000)
    worker = start_worker(threads=8)
    begun = time.monotonic()
    work.send_with_options(args=["soon"], delay=200)
    work.send("retried")
    eventually(lambda: runs.count == {"soon": 1, "retried": 2}, 5)
    assert time.monotonic() - begun < 1
    assert worker.dispatcher is not None
    assert len(worker.dispatcher.held) <= 1  # They lie in Redis, not in the worker.


@pytest.mark.parametrize("threads", [1, 3])
def test_16_a_worker_that_stops_gives_what_it_has_not_started_to_others_at_once(
    broker: JobyardBroker, start_worker: StartWorker, runs: Runs, threads: int
) -> None:
    @dramatiq.actor(queue_name="q")
    def work(number: int) -> None:
        runs.note(number)
        if number < threads:
            runs.go_on.wait(10)

    stopping = start_worker(threads=threads)
    # Short jobs first, so that it takes many at once.
    broker.enqueue_many([work.message(1000 + number) for number in range(300)])
    eventually(lambda: len(runs.count) == 300)
    broker.pause("q")
    broker.enqueue_many([work.message(number) for number in range(20)])
    broker.resume("q")
    eventually(lambda: all(runs.count[number] for number in range(threads)))
    stop = threading.Thread(target=stopping.stop)
    stop.start()
    start_worker()
    eventually(lambda: len(runs.count) == 320, 5)
    assert stop.is_alive()
    runs.go_on.set()
    stop.join(5)
    assert not stop.is_alive()
    eventually(lambda: broker.inspector.stats("q").completed == 320)
    assert set(runs.count.values()) == {1}
    assert broker.inspector.stats("q").counts.get("recovered", 0) == 0


def test_16_a_worker_that_stops_while_its_last_fetch_is_unanswered_strands_nothing(
    server: Server,
    broker: JobyardBroker,
    make_broker: MakeBroker,
    start_proxy: StartProxy,
    start_worker: StartWorker,
    runs: Runs,
) -> None:
    proxy = start_proxy(server.port)
    far = make_broker(proxy.url)

    @dramatiq.actor(queue_name="q", broker=far)
    def work() -> None:
        runs.note("run")

    stopping = start_worker(broker=far)
    eventually(lambda: any(client["cmd"] == "blpop" for client in broker.server.client().client_list()))
    # Its call is applied, but the reply never comes; and so with the next ones, until it is told to stop.
    proxy.lose_replies(1000, containing=b"EVALSHA")
    sent = broker.enqueue(work.message())
    eventually(lambda: state(broker, sent.message_id) == "active")
    stop = threading.Thread(target=stopping.stop)
    stop.start()
    time.sleep(0.1)
    proxy.heal()
    stop.join(10)
    assert not stop.is_alive()
    assert state(broker, sent.message_id) in ("waiting", "completed")


# Not in the table, found while writing these tests -----------------------------------------------------------------


@pytest.mark.parametrize("delay", [10**18, 2**63, -5, 10**400], ids=["large", "too large", "negative", "huge"])
def test_a_retry_with_a_senseless_delay_stops_no_worker(
    broker: JobyardBroker, start_worker: StartWorker, runs: Runs, delay: int
) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None:
        runs.note("work")
        if runs.count["work"] == 1:
            raise dramatiq.errors.Retry("later", delay=delay)

    @dramatiq.actor(queue_name="q")
    def other() -> None:
        runs.note("other")

    worker = start_worker()
    sent = work.send()
    eventually(lambda: state(broker, sent.message_id) in ("delayed", "completed", "dead"))
    for number in range(1, 4):
        other.send()
        eventually(lambda number=number: runs.count["other"] == number, 3)
    assert worker.complaint() is None
    assert not worker.outage


def test_a_job_with_a_senseless_option_fails_alone(
    broker: JobyardBroker, start_worker: StartWorker, runs: Runs
) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None:
        runs.note("work")

    worker = start_worker()
    for options in (
        {"time_limit": "soon"},
        {"max_retries": "many"},
        {"retries": "x"},
        {"max_age": "x"},
        {"notify_shutdown": [1]},
        {"store_results": 5},
        {"min_backoff": "x"},
        {"pipe_target": 5},
        {"eta": "x"},
    ):
        work.send_with_options(**options)
    eventually(lambda: broker.inspector.stats("q").waiting + broker.inspector.stats("q").active == 0)
    work.send()
    eventually(lambda: runs.count["work"] >= 1)
    assert worker.complaint() is None
