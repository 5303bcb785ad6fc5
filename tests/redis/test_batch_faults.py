"""Batches when something goes wrong between two steps: nothing is forgotten, and nothing counts or is called twice."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

import jobyard
from jobyard.batch import Batch, BatchClosed, RunningBatch
from jobyard.broker import JobyardBroker, notices
from jobyard.broker.delivery import Again, Delivery
from jobyard.broker.errors import BrokerUnavailableError
from jobyard.broker.link import Link
from jobyard.broker.policy import QueuePolicy
from jobyard.errors import Cancelled
from jobyard.worker.worker import JobyardWorker
from support.hand import Hand, message
from support.proxy import Proxy
from support.servers import Server
from support.waiting import eventually

QUEUES = ("q", "other", "third")


def make(*messages: dramatiq.Message[Any], queue: str = "calls", broker: JobyardBroker | None = None) -> Batch:
    callbacks = {f"on_{kind}": message(queue, actor=kind) for kind in ("success", "failure", "complete")}
    return Batch(messages, **callbacks, broker=broker).enqueue()


def called(broker: JobyardBroker, queue: str = "calls") -> list[str]:
    return [job.actor for job in broker.inspector.jobs(queue, "waiting")]


@pytest.fixture
def undelivered(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Workers are killed before they deliver any notice, until this is called."""
    monkeypatch.setattr(notices.Courier, "deliver", lambda courier, queues: None)
    return monkeypatch.undo


def test_the_end_of_a_job_whose_worker_was_killed_before_it_told_the_batch_is_told_by_the_next_worker(
    broker: JobyardBroker, hand: Callable[..., Hand], undelivered: Callable[[], None]
) -> None:
    make(message("q"))
    killed = hand()
    killed.done(killed.fetch_one())
    assert called(broker) == []
    undelivered()
    # It fetches from the job's queue only; the batch's home is another one.
    assert hand().fetch() == []
    assert called(broker) == ["success", "complete"]


def test_the_end_of_a_job_is_told_by_whoever_looks_at_the_batch(
    broker: JobyardBroker, hand: Callable[..., Hand], undelivered: Callable[[], None]
) -> None:
    batch = make(message("q"))
    killed = hand()
    killed.done(killed.fetch_one())
    assert batch.wait(timeout=100).succeeded
    assert called(broker) == ["success", "complete"]


def test_what_a_dead_worker_had_completed_is_told(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    batch = make(message("q"))
    killed = hand()
    job = killed.fetch_one()
    done = [jobyard.broker.delivery.Completed(job.message_id, job.call, b"1")]
    assert broker.revoke(killed.token, b'{"error":"x"}', completed=done) == (0, 1)
    assert batch.status().completed == 1


@pytest.mark.parametrize("steps", range(7))
def test_whoever_delivers_may_be_killed_after_any_step(
    broker: JobyardBroker,
    hand: Callable[..., Hand],
    undelivered: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
) -> None:
    broker.configure("calls", QueuePolicy(completed=0))
    batch = make(message("q"), message("q"))
    worker = hand()
    worker.bury(worker.fetch_one())
    worker.done(worker.fetch_one())
    left = steps

    def step(real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return real(*args, **more)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(Link, "call", step(Link.call))
        patch.setattr(Link, "command", step(Link.command))
        with pytest.raises(KeyboardInterrupt):
            broker.batches.hear(["q"])
    run: Counter[str] = Counter()
    caller = hand("calls")

    def run_callbacks() -> None:
        for job in caller.fetch(9):
            run[job.actor_name] += 1
            caller.done(job)

    # Those that were called may have run, and be forgotten.
    run_callbacks()
    status = batch.status()
    assert (status.completed, status.failed, status.ended) == (1, 1, True)
    run_callbacks()
    batch.status()
    run_callbacks()
    assert run == {"failure": 1, "complete": 1}


def test_two_may_deliver_at_once_and_one_of_them_be_late(
    broker: JobyardBroker,
    hand: Callable[..., Hand],
    undelivered: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The late one has read the notices, and brings them when everything they say is long past."""
    broker.configure("calls", QueuePolicy(completed=0))
    batch = make(message("q", job_id="bad"))
    worker = hand()
    worker.bury(worker.fetch_one())
    real = Link.call
    inside = False

    def late(link: Link, one: Any, *rest: Any) -> Any:
        nonlocal inside
        if one.name in ("batch_count", "batch_call") and not inside:
            inside = True
            # Another one is faster, the job is retried and completes, the callbacks run.
            batch.status()
            if broker.dead_letters.retry("q", ["bad"]):
                worker.done(worker.fetch_one())
                assert batch.status().succeeded
            caller = hand("calls")
            for job in caller.fetch(9):
                run.append(job.actor_name)
                caller.done(job)
            inside = False
        return real(link, one, *rest)

    run: list[str] = []
    monkeypatch.setattr(Link, "call", late)
    batch.status()
    monkeypatch.undo()
    assert batch.status().succeeded
    assert sorted(run) == ["complete", "failure", "success"]
    assert called(broker) == []


def test_notices_count_once_whoever_sends_them_twice(
    broker: JobyardBroker, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Link.call
    names: set[str] = set()

    def twice(link: Link, one: Any, keys: Any, arguments: Any = ()) -> Any:
        arguments = tuple(arguments)
        names.add(one.name)
        real(link, one, keys, arguments)
        return real(link, one, keys, arguments)

    monkeypatch.setattr(Link, "call", twice)
    batch = make(message("q"), message("other"), message("q"))
    worker = hand("q", "other")
    worker.done(worker.fetch_one())
    worker.bury(worker.fetch_one())
    worker.done(worker.fetch_one())
    status = batch.status()
    assert (status.total, status.completed, status.failed, status.ended) == (3, 2, 1, True)
    assert called(broker) == ["failure", "complete"]
    assert {"batch_enter", "batch_seal", "batch_count", "batch_call"} <= names


def test_replies_may_get_lost(
    server: Server,
    broker: JobyardBroker,
    hand: Callable[..., Hand],
    make_broker: Callable[..., JobyardBroker],
    start_proxy: Callable[[int], Proxy],
) -> None:
    proxy = start_proxy(server.port)
    broken = make_broker(proxy.url)
    proxy.lose_at_random(0.05, seed=3)
    worker = hand(*QUEUES, broker=broken)
    for number in range(15):
        calls = f"calls-{number}"
        batch = make(*[message(queue) for queue in QUEUES for _ in range(3)], broker=broken, queue=calls)
        eventually(lambda batch=batch: [worker.done(job) for job in worker.fetch(4)] == [] and batch.status().ended)
        status = batch.status()
        assert (status.total, status.completed, status.ended) == (9, 9, True)
        assert called(broker, calls) == ["success", "complete"]
    assert proxy.lost > 5


def test_a_worker_goes_on_and_tells_later_when_redis_was_away(
    broker: JobyardBroker, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make(message("q"), message("q"))
    worker = hand()

    def away(*args: Any) -> None:
        raise BrokerUnavailableError("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(notices, "deliver", away)
        worker.done(worker.fetch_one())
        assert worker.dispatcher._courier.waiting
    worker.done(worker.fetch_one())
    eventually(lambda: worker.fetch() == [] and called(broker) == ["success", "complete"], what="it told it")
    assert not worker.dispatcher._courier.waiting
    assert batch.status().succeeded


def test_a_notice_that_nobody_understands_stops_no_worker(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    batch = make(message("q"))
    key = broker.keys("q")["notices"]
    broker.server.client().zadd(key, {b"by hand\0dead\0x": 0})
    worker = hand()
    worker.done(worker.fetch_one())
    assert worker.dispatcher._courier.waiting
    broker.server.client().zrem(key, b"by hand\0dead\0x")
    assert batch.status().succeeded


# Jobs that add jobs ------------------------------------------------------------------------------------------------


def running(broker: JobyardBroker, job: Delivery) -> RunningBatch:
    return RunningBatch(job.options["jobyard_batch"], job, broker=broker)


def test_a_batch_does_not_end_before_the_jobs_that_its_jobs_have_added(
    broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    batch = make(message("q"))
    worker = hand("q", "other")
    job = worker.fetch_one()
    running(broker, job).add(message("other"), message("other"))
    worker.done(job)
    assert (batch.status().total, batch.status().completed) == (3, 1)
    for added in worker.fetch(2):
        worker.done(added)
    assert batch.status().succeeded
    assert called(broker) == ["success", "complete"]


def test_a_later_attempt_adds_the_same_jobs_once(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    batch = make(message("q"))
    worker = hand()
    job = worker.fetch_one()
    running(broker, job).add(message("other", 1), message("other", 1), message("other", 2))
    worker.retry(job)
    (again,) = eventually(worker.fetch)
    running(broker, again).add(message("other", 1), message("other", 1))
    running(broker, again).add(message("other", 2), message("other", 3))
    assert sorted(job.args[0] for job in broker.inspector.jobs("other", "waiting")) == [1, 1, 2, 3]
    assert batch.status().total == 5


@pytest.mark.parametrize("sent", [False, True])
def test_a_job_may_be_killed_while_it_adds_jobs_and_not_do_it_again(
    broker: JobyardBroker, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    batch = make(message("q"))
    worker = hand("q", "other")
    job = worker.fetch_one()
    real = broker._producer.accept

    def killed(*args: Any, **more: Any) -> Any:
        if sent:
            real(*args, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(broker._producer, "accept", killed)
        with pytest.raises(KeyboardInterrupt):
            running(broker, job).add(message("other", 1))
    assert batch.status().total == 2
    worker.retry(job)
    (again,) = [one for one in eventually(lambda: worker.fetch(5)) if one.queue_name == "q"] or worker.fetch(1)
    worker.done(again)
    # What may never come isn't waited for.
    assert (batch.status().total, batch.status().succeeded) == (1, True)
    if sent:
        for one in list(worker.dispatcher.held.values()):
            worker.done(one)
        assert (batch.status().total, batch.status().completed) == (2, 2)
    assert called(broker) == ["success", "complete"]


def test_who_has_ended_or_is_cancelled_adds_nothing(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    batch = make(message("q", job_id="first"), message("q"))
    worker = hand()
    first, second = worker.fetch(2)
    worker.bury(first)
    with pytest.raises(BatchClosed, match="has ended"):
        running(broker, first).add(message("q"))
    assert broker.dead_letters.retry("q", ["first"])
    (first,) = worker.fetch()
    running(broker, first).add(message("q"))
    batch.cancel()
    with pytest.raises(BatchClosed, match="cancelled"):
        running(broker, second).add(message("q"))
    assert batch.status().total == 3
    broker.server.client().delete(*broker.keys("calls").batch(batch.id.partition(":")[2]))
    with pytest.raises(BatchClosed, match="not known"):
        running(broker, second).add(message("q"))


def test_a_batch_that_is_cancelled_while_a_job_adds_to_it_is_cancelled_whole(
    broker: JobyardBroker, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make(message("q"))
    worker = hand()
    job = worker.fetch_one()
    real = broker._producer.accept

    def accept(*args: Any, **more: Any) -> Any:
        batch.cancel()
        return real(*args, **more)

    monkeypatch.setattr(broker._producer, "accept", accept)
    running(broker, job).add(message("other"))
    assert broker.inspector.stats("other").cancelled == 1
    job.stuff_exception(Cancelled())
    worker.settle(job)
    assert (batch.status().cancelled, batch.status().ended) == (2, True)


# All of it ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_order_and_the_ends_each_callback_is_called_once_and_the_counts_are_right(
    broker: JobyardBroker, hand: Callable[..., Hand], seed: int
) -> None:
    walk_batches(broker, hand, random.Random(seed))


def walk_batches(broker: JobyardBroker, hand: Callable[..., Hand], chance: random.Random) -> None:
    """Several batches at once in several queues, with all that can happen to their jobs, against what tests know of each."""
    for queue in QUEUES:
        broker.configure(queue, QueuePolicy(completed=chance.choice([None, 0, 2]), dead=chance.choice([None, None, 2])))
    broker.configure("calls", QueuePolicy(completed=0))
    ends: dict[str, str] = {}
    failed: set[str] = set()
    batches: dict[str, list[str]] = {}
    for number in range(4):
        sent = [message(chance.choice(QUEUES), job_id=f"{number}-{one}") for one in range(chance.randrange(12))]
        batch = make(*sent, queue=chance.choice(["calls", *QUEUES]) if number else "calls", broker=broker)
        batches[batch.id] = [one.message_id for one in sent]
        ends |= dict.fromkeys(batches[batch.id], "pending")
    broker.enqueue_many([message(chance.choice(QUEUES), job_id=f"none-{one}") for one in range(9)])
    owner = {job_id: batch_id for batch_id, ids in batches.items() for job_id in ids}
    workers = [hand(*QUEUES, "calls", broker=broker) for _ in range(2)]
    run: Counter[tuple[str, str]] = Counter()

    def note(job_id: str, state: str) -> None:
        if job_id in ends:
            ends[job_id] = state
            if state not in ("completed", "pending"):
                failed.add(owner[job_id])

    def step(worker: Hand) -> bool:
        for job in worker.fetch(chance.randint(1, 4)):
            if job.actor_name != "work":
                run[job.options["jobyard_batch"], job.actor_name] += 1
                worker.done(job)
                continue
            end = chance.choice(["done", "done", "done", "dead", "retry", "cancelled", "killed"])
            if end == "done":
                worker.done(job)
                note(job.message_id, "completed")
            elif end == "dead":
                worker.bury(job)
                note(job.message_id, "failed")
            elif end == "retry":
                job.stuff_exception(ValueError("no"))
                job.again = Again(0)
                worker.settle(job)
            elif end == "cancelled":
                broker.cancel(job.message_id, queue=job.queue_name)
                job.stuff_exception(ValueError("no"))
                worker.retry(job)
                note(job.message_id, "cancelled")
            else:
                broker.revoke(worker.token, b'{"error":"x"}', started=[])
                worker.dispatcher.held.clear()
                worker.dispatcher.buffer.clear()
                return True
            if chance.random() < 0.2:
                queue = chance.choice(QUEUES)
                for letter in broker.dead_letters.select(queue):
                    if chance.random() < 0.5:
                        if broker.dead_letters.retry(queue, [letter.id]):
                            note(letter.id, "pending")
                    elif broker.dead_letters.discard(queue, [letter.id]):
                        note(letter.id, "discarded")
        return any(
            broker.inspector.stats(name).waiting + broker.inspector.stats(name).delayed for name in (*QUEUES, "calls")
        )

    def check() -> None:
        for batch_id, ids in batches.items():
            status = broker.batches.status(batch_id)
            assert status is not None
            tally = Counter(ends[job_id] for job_id in ids)
            found = (status.pending, status.completed, status.failed, status.cancelled, status.discarded)
            assert found == tuple(tally[name] for name in ("pending", "completed", "failed", "cancelled", "discarded"))
            assert status.ended == (tally["pending"] == 0)

    for _ in range(400):
        busy = step(chance.choice(workers))
        if chance.random() < 0.1:
            check()
        if not busy and all(broker.batches.status(batch_id).ended for batch_id in batches):  # type: ignore[union-attr]
            break
    else:
        raise AssertionError("it never came to an end")
    check()
    while step(workers[0]):
        pass
    assert set(run.values()) == {1}
    for batch_id in batches:
        kinds = {kind for found, kind in run if found == batch_id}
        status = broker.batches.status(batch_id)
        assert status is not None
        assert kinds == set(status.callbacks)
        assert "complete" in kinds
        assert ("failure" in kinds) == (batch_id in failed)
        if status.succeeded:
            assert "success" in kinds


def test_several_workers_at_once_count_right(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    calls: Counter[str] = Counter()
    mutex = threading.Lock()

    def declare(queue: str) -> dramatiq.Actor[[int], None]:
        @dramatiq.actor(queue_name=queue, actor_name=f"work-{queue}", max_retries=0)
        def work(number: int) -> None:
            if number % 50 == 7:
                raise ValueError("on purpose")

        return work

    @dramatiq.actor(queue_name="calls")
    def callback(kind: str) -> None:
        with mutex:
            calls[kind] += 1

    actors = [declare(queue) for queue in QUEUES]
    for threads in (1, 1, 4):
        start_worker(threads=threads)
    batch = Batch(
        [actor.message(number) for number in range(300) for actor in actors],
        on_success=callback.message("success"),
        on_failure=callback.message("failure"),
        on_complete=callback.message("complete"),
    ).enqueue()
    status = batch.wait(timeout=30_000)
    assert (status.total, status.completed, status.failed) == (900, 900 - 18, 18)
    eventually(lambda: calls == {"failure": 1, "complete": 1})
    for queue in QUEUES:
        broker.dead_letters.retry_all(queue)
    eventually(lambda: batch.status().ended)
    assert calls == {"failure": 1, "complete": 1}
