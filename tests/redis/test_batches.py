"""Batches: what is counted, and when whose callback is called."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import dramatiq
import pytest

import jobyard
from jobyard.batch import BATCH, Batch, BatchClosed, BatchHandle
from jobyard.broker import JobyardBroker
from jobyard.broker.batches import BatchFailure
from jobyard.broker.policy import QueuePolicy
from jobyard.testing import stub_broker
from jobyard.worker.worker import JobyardWorker
from support.hand import Hand, look_up, message
from support.waiting import eventually

CALLBACKS = ("success", "failure", "complete")


def callbacks(queue: str = "calls") -> dict[str, dramatiq.Message[object]]:
    return {f"on_{kind}": message(queue, actor=kind) for kind in CALLBACKS}


def called(broker: JobyardBroker, queue: str = "calls") -> list[str]:
    """Which callbacks wait in their queue, in the order in which they will start."""
    return [job.actor for job in broker.inspector.jobs(queue, "waiting")]


def make(*messages: dramatiq.Message[object], queue: str = "calls") -> Batch:
    return Batch(messages, **callbacks(queue)).enqueue()


def test_success_is_called_once_when_all_jobs_have_completed(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    batch = make(message("q"), message("other"), message("q"))
    worker = hand("q", "other")
    status = batch.status()
    assert (status.total, status.pending, status.ended, status.callbacks) == (3, 3, False, {})
    for left in (2, 1):
        worker.done(worker.fetch_one())
        assert batch.status().pending == left
        assert called(broker) == []
    worker.done(worker.fetch_one())
    assert called(broker) == ["success", "complete"]
    status = batch.status()
    assert (status.completed, status.pending, status.succeeded) == (3, 0, True)
    assert set(status.callbacks) == {"success", "complete"}
    assert status.ended_at is not None
    assert status.enqueued_at is not None


def test_failure_is_called_at_the_first_dead_letter_and_the_others_go_on(
    broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    batch = make(message("q", job_id="bad"), message("q", job_id="good"), message("q", job_id="worse"))
    worker = hand()
    worker.bury(worker.fetch_one())
    assert called(broker) == ["failure"]
    status = batch.status()
    assert (status.failed, status.pending, status.ended) == (1, 2, False)
    assert status.first_failure == BatchFailure("bad", "q", "dead")
    worker.done(worker.fetch_one())
    worker.bury(worker.fetch_one())
    assert called(broker) == ["failure", "complete"]
    status = batch.status()
    assert (status.completed, status.failed, status.ended, status.succeeded) == (1, 2, True, False)
    assert status.first_failure == BatchFailure("bad", "q", "dead")


def test_a_retried_attempt_is_no_end(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    batch = make(message("q"))
    worker = hand()
    worker.retry(worker.fetch_one())
    assert batch.status().pending == 1
    eventually(lambda: [worker.done(job) for job in worker.fetch()])
    assert called(broker) == ["success", "complete"]


def test_success_is_called_when_the_dead_letters_were_retried_and_completed(
    broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    batch = make(message("q", job_id="bad"), message("q"))
    worker = hand()
    worker.bury(worker.fetch_one())
    worker.done(worker.fetch_one())
    assert called(broker) == ["failure", "complete"]
    assert broker.dead_letters.retry("q", ["bad"]) == 1
    status = batch.status()
    assert (status.pending, status.failed, status.ended) == (1, 0, False)
    worker.bury(worker.fetch_one())
    assert batch.status().failed == 1
    assert broker.dead_letters.edit_and_retry("q", "bad", lambda args, kwargs: (args, kwargs))
    worker.done(worker.fetch_one())
    # Each once: what was called stays called.
    assert called(broker) == ["failure", "complete", "success"]
    assert batch.status().succeeded


@pytest.mark.parametrize("delay", [None, 60_000])
def test_a_cancelled_job_is_a_failure(broker: JobyardBroker, hand: Callable[..., Hand], delay: int | None) -> None:
    batch = make(message("q", job_id="unwanted", delay=delay), message("q"))
    broker.cancel("unwanted")
    assert called(broker) == ["failure"]
    worker = hand()
    worker.done(worker.fetch_one())
    assert called(broker) == ["failure", "complete"]
    status = batch.status()
    assert (status.completed, status.cancelled, status.succeeded) == (1, 1, False)
    assert status.first_failure == BatchFailure("unwanted", "q", "cancelled")


def test_discarded_jobs_are_failures(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    batch = make(message("q", job_id="dead"), message("q"), message("q", delay=60_000))
    worker = hand()
    worker.bury(worker.fetch_one())
    broker.flush("q")
    status = batch.status()
    assert (status.failed, status.discarded, status.ended) == (1, 2, True)
    broker.dead_letters.discard("q", ["dead"])
    status = batch.status()
    assert (status.failed, status.discarded, status.ended) == (0, 3, True)
    assert called(broker) == ["failure", "complete"]


def test_a_job_that_a_debounced_one_replaces_is_discarded(broker: JobyardBroker) -> None:
    batch = make(message("q", unique="u", debounce=True))
    broker.enqueue(message("q", unique="u", debounce=True))
    assert batch.status().discarded == 1
    assert called(broker) == ["failure", "complete"]


def test_a_job_that_was_not_started_in_time_is_a_failure(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    batch = make(message("q", expires=1))
    worker = hand()
    eventually(lambda: worker.ids() == [] and batch.status().failed == 1)
    assert called(broker) == ["failure", "complete"]


def test_a_job_that_kills_its_workers_is_a_failure_in_the_end(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], hand: Callable[..., Hand]
) -> None:
    @dramatiq.actor(queue_name="q", max_retries=0)
    def work() -> None: ...

    batch = make(work.message())
    killed = hand()
    killed.fetch_one()
    broker.revoke(killed.token, b'{"error":"WorkerDied"}')
    assert batch.status().pending == 1
    start_worker()
    assert not batch.wait(timeout=10_000).succeeded
    assert batch.status().failed == 1


def test_the_count_stays_when_jobs_are_no_longer_kept(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    broker.configure("q", QueuePolicy(completed=0, dead=0))
    batch = make(message("q"), message("q"))
    worker = hand()
    worker.bury(worker.fetch_one())
    worker.done(worker.fetch_one())
    worker.fetch()
    assert broker.inspector.stats("q").envelopes == 0
    status = batch.status()
    assert (status.completed, status.failed, status.ended) == (1, 1, True)
    assert called(broker) == ["failure", "complete"]


def test_an_empty_batch_has_succeeded_at_once(broker: JobyardBroker) -> None:
    batch = make()
    assert called(broker) == ["success", "complete"]
    assert batch.status().succeeded


def test_a_batch_without_callbacks_is_counted(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    batch = Batch([message("q")], description="one job", tags=["a", "b"]).enqueue()
    worker = hand()
    worker.done(worker.fetch_one())
    status = batch.status()
    assert (status.succeeded, status.callbacks) == (True, {})
    assert (status.description, status.tags) == ("one job", ("a", "b"))


def test_callbacks_may_be_in_any_queues_and_carry_what_messages_carry(
    broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    batch = Batch(
        [message("q")],
        on_success=message("s", 1, actor="success", priority=3, delay=60_000),
        on_complete=message("q", 2, actor="complete", priority=90),
    ).enqueue()
    worker = hand()
    worker.done(worker.fetch_one())
    (success,) = broker.inspector.jobs("s", "delayed")
    (complete,) = broker.inspector.jobs("q", "waiting")
    assert (success.args, success.priority, success.options[BATCH]) == ((1,), 3, batch.id)
    assert (complete.args, complete.priority, complete.options[BATCH]) == ((2,), 90, batch.id)


def test_nothing_is_called_before_all_jobs_are_enqueued_and_enqueueing_can_be_repeated(
    broker: JobyardBroker, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.configure("first", QueuePolicy(completed=0))
    batch = Batch([message("first"), message("first"), message("second")], **callbacks())
    real = broker._producer.accept
    worker = hand("first", "second")

    def killed(queue: object, jobs: object, **more: bool) -> object:
        if getattr(queue, "name", "") == "second":
            raise KeyboardInterrupt
        return real(queue, jobs, **more)

    monkeypatch.setattr(broker._producer, "accept", killed)
    with pytest.raises(KeyboardInterrupt):
        batch.enqueue()
    monkeypatch.undo()
    worker.bury(worker.fetch_one())
    worker.done(worker.fetch_one())
    status = batch.status()
    assert (status.total, status.pending, status.enqueued_at) == (3, 1, None)
    assert called(broker) == []
    batch.enqueue()
    # What has completed, and is not kept, doesn't run again.
    assert broker.inspector.stats("first").counts["accepted"] == 2
    assert called(broker) == ["failure"]
    worker.done(worker.fetch_one())
    assert called(broker) == ["failure", "complete"]
    batch.enqueue()
    assert called(broker) == ["failure", "complete"]
    assert batch.status().total == 3


def test_jobs_that_other_jobs_stand_for_are_not_part_of_the_batch(
    broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    broker.enqueue(message("q", job_id="holder", unique="u"))
    make(message("q", job_id="shared"), queue="other-calls")
    batch = make(message("q", unique="u"), message("q", job_id="shared"), message("q", job_id="own"))
    assert batch.status().total == 1
    broker.cancel("own")
    assert batch.status().ended


def test_a_job_that_is_known_already_joins_with_the_end_that_it_has_had(
    broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    sent = [message("q", job_id=state) for state in ("completed", "dead", "cancelled", "waiting")]
    broker.enqueue_many(sent)
    worker = hand()
    worker.done(worker.fetch_one())
    worker.bury(worker.fetch_one())
    broker.cancel("cancelled")
    status = make(*sent).status()
    assert (status.completed, status.failed, status.cancelled, status.pending) == (1, 1, 1, 1)
    assert called(broker) == ["failure"]


def test_a_batch_can_be_cancelled(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    batch = make(message("q", job_id="done"), message("q", job_id="running"), message("other", job_id="waiting"))
    worker = hand("q")
    worker.done(worker.fetch_one())
    running = worker.fetch_one()
    assert batch.cancel() == {"running": "active", "waiting": "waiting"}
    assert called(broker) == ["failure"]
    worker.retry(running)
    assert called(broker) == ["failure", "complete"]
    status = batch.status()
    assert (status.completed, status.cancelled, status.ended) == (1, 2, True)
    assert status.cancelled_at is not None
    assert batch.cancel() == {}


def test_a_batch_that_is_cancelled_while_it_is_enqueued_is_cancelled_whole(
    broker: JobyardBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Batch([message("q"), message("other")], **callbacks())
    real = broker._producer.accept

    def accept(queue: object, jobs: object, **more: bool) -> object:
        batch.cancel()
        return real(queue, jobs, **more)

    monkeypatch.setattr(broker._producer, "accept", accept)
    batch.enqueue()
    status = batch.status()
    assert (status.cancelled, status.ended) == (2, True)
    assert called(broker) == ["failure", "complete"]


def test_an_unknown_batch_is_a_lookup_error(broker: JobyardBroker) -> None:
    for act in (BatchHandle("q:nothing").status, BatchHandle("q:nothing").wait):
        with pytest.raises(LookupError, match="q:nothing"):
            act()
    assert BatchHandle("q:nothing").cancel() == {}
    with pytest.raises(ValueError, match="QUEUE:NAME"):
        BatchHandle("nothing").status()


def test_a_record_is_kept_for_a_time_after_the_end(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    client = broker.server.client()
    batch = Batch([message("q", job_id="bad")], retention=timedelta(hours=1)).enqueue()
    record, jobs, _ = broker.keys("q").batch(batch.id.partition(":")[2])
    assert (client.pttl(record), client.pttl(jobs)) == (-1, -1)
    worker = hand()
    worker.bury(worker.fetch_one())
    assert 3_500_000 < client.pttl(record) <= 3_600_000
    assert 3_500_000 < client.pttl(jobs) <= 3_600_000
    broker.dead_letters.retry("q", ["bad"])
    assert client.pttl(record) == -1
    client.delete(record, jobs)
    # Who comes too late is heard by nobody, and nothing is kept of it.
    worker.done(worker.fetch_one())
    assert client.exists(record, jobs, broker.keys("q")["notices"]) == 0


def test_what_can_be_no_batch_is_refused(broker: JobyardBroker) -> None:
    with pytest.raises(TypeError, match="pipeline"):
        Batch([message("q") | message("q")])  # type: ignore[list-item] # on purpose
    with pytest.raises(ValueError, match="name"):
        Batch(name="x" * 129)
    with pytest.raises(ValueError, match="kept"):
        Batch(retention=timedelta(minutes=59))
    with pytest.raises(ValueError, match="different queues"):
        Batch([message("q", job_id="same"), message("other", job_id="same")]).enqueue()
    with pytest.raises(TypeError, match="JobyardBroker"):
        Batch(broker=stub_broker())


def test_a_whole_batch_in_real_workers(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    ended = threading.Event()
    seen: dict[str, object] = {}

    @dramatiq.actor(queue_name="q")
    def add(depth: int) -> None:
        batch = jobyard.current_batch()
        assert batch is not None
        seen["id"] = batch.id
        if depth:
            batch.add(add.message(depth - 1), add.message(depth - 1))

    @dramatiq.actor(queue_name="calls")
    def report() -> None:
        batch = jobyard.current_batch()
        assert batch is not None
        seen["status"] = batch.status()
        try:
            batch.add(add.message(0))
        except BatchClosed as error:
            seen["refused"] = str(error)
        ended.set()

    start_worker(threads=2)
    batch = Batch([add.message(3), add.message(2)], on_success=report.message())
    batch.add(add.message(0))
    batch.enqueue()
    with pytest.raises(BatchClosed):
        batch.add(add.message(0))
    status = batch.wait(timeout=20_000)
    assert (status.total, status.completed, status.succeeded) == (15 + 7 + 1, 23, True)
    assert ended.wait(10)
    assert seen["id"] == batch.id
    assert getattr(seen["status"], "succeeded", False)
    assert "none of its jobs" in str(seen["refused"])
    assert jobyard.current_batch() is None


def test_a_batch_in_a_batch_counts_as_one_job(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    inner = Batch([message("q", job_id="bad"), message("other")], on_complete=message("inner-calls", actor="inner"))
    outer = Batch([message("q"), inner, Batch()], **callbacks()).enqueue()
    assert (outer.status().total, outer.status().completed) == (3, 1)  # The empty one has succeeded.
    worker = hand("q", "other")
    for job in worker.fetch(3):
        if job.message_id == "bad":
            worker.bury(job)
        else:
            worker.done(job)
    assert called(broker, "inner-calls") == ["inner"]
    status = outer.status()
    assert (status.completed, status.failed, status.ended) == (2, 1, True)
    assert status.first_failure == BatchFailure(inner.id, "inner-calls", "dead")
    assert called(broker) == ["failure", "complete"]
    broker.dead_letters.retry("q", ["bad"])
    assert inner.status().pending == 1
    assert outer.status().pending == 1
    worker.done(worker.fetch_one())
    assert outer.status().succeeded
    assert called(broker) == ["failure", "complete", "success"]
    outer.enqueue()
    assert broker.inspector.stats("q").counts["accepted"] == 2


def test_a_batch_is_part_of_one_batch_and_enqueued_with_it(broker: JobyardBroker) -> None:
    inner = Batch([message("q")])
    Batch([inner])
    with pytest.raises(BatchClosed, match="part of another"):
        inner.enqueue()
    with pytest.raises(BatchClosed, match="part of another"):
        Batch([inner])
    with pytest.raises(BatchClosed, match="enqueued"):
        Batch([Batch([message("q")]).enqueue()])


def test_a_batch_in_a_batch_is_cancelled_with_it(broker: JobyardBroker) -> None:
    inner = Batch([message("q", job_id="inmost")])
    outer = Batch([Batch([message("q", job_id="middle"), inner])], **callbacks()).enqueue()
    assert outer.cancel() == {"inmost": "waiting", "middle": "waiting"}
    assert inner.status().cancelled == 1
    assert outer.wait(timeout=10_000).failed == 1
    assert called(broker) == ["failure", "complete"]


def test_waiting_ends_with_the_time_and_says_what_is_missing(broker: JobyardBroker) -> None:
    batch = make(message("q"), message("q"))
    with pytest.raises(TimeoutError, match="2 of 2 jobs"):
        batch.wait(timeout=50)


def test_jobs_that_are_in_no_batch_leave_nothing(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    broker.enqueue_many([message("q", key="k") for _ in range(3)])
    worker = hand()
    worker.done(worker.fetch_one())
    worker.bury(worker.fetch_one())
    assert look_up(broker, broker.inspector.jobs("q", "waiting")[0].id).state == "waiting"
    keys = broker.keys("q")
    assert broker.server.client().exists(keys["batched"], keys["notices"]) == 0
