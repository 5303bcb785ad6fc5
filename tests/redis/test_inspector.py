"""Looking at jobs and queues."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dramatiq import Message

from jobyard.broker import JobyardBroker
from jobyard.broker.states import PLACES
from support.hand import Hand, look_up, message
from support.snapshot import snapshot


@pytest.fixture
def one_of_each(broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]) -> dict[str, str]:
    worker = hand()
    found = {"dead": send()}
    worker.bury(worker.fetch_one())
    found["completed"] = send()
    worker.done(worker.fetch_one(), b'"result"')
    found["cancelled"] = send()
    broker.cancel(found["cancelled"])
    found["active"] = send()
    worker.fetch_one()
    found["delayed"] = send(delay=60_000)
    found["waiting"] = send()
    return found


def test_each_state_lists_its_jobs(broker: JobyardBroker, one_of_each: dict[str, str]) -> None:
    for state, job_id in one_of_each.items():
        (job,) = broker.inspector.jobs("q", state)
        assert (job.id, job.state) == (job_id, state)


def test_a_queues_figures(broker: JobyardBroker, one_of_each: dict[str, str]) -> None:
    stats = broker.inspector.stats("q")
    for state in ("waiting", "delayed", "active", "dead", "kept_completed", "kept_cancelled", "completed", "cancelled"):
        assert getattr(stats, state) == 1, state
    assert stats.envelopes == 6
    assert stats.counts == {"accepted": 6, "started": 3, "completed": 1, "failed": 1, "cancelled": 1}
    assert 59_000 < stats.next_due - stats.now <= 60_000
    assert abs(stats.oldest_at - stats.now) < 5_000
    assert (stats.lost, stats.orphaned) == (0, 0)


def test_a_queue_that_is_not_there_is_empty(broker: JobyardBroker) -> None:
    stats = broker.inspector.stats("nothing")
    assert (stats.waiting, stats.counts, stats.next_due, stats.oldest_at) == (0, {}, None, None)
    assert broker.inspector.jobs("nothing", "dead") == []
    assert broker.inspector.queues() == []


def test_looking_changes_nothing(broker: JobyardBroker, one_of_each: dict[str, str]) -> None:
    before = snapshot(broker)
    broker.inspector.stats("q")
    for state in PLACES:
        broker.inspector.jobs("q", state)
    broker.inspector.job("unknown")
    assert snapshot(broker) == before


def test_a_job_shows_what_is_known_of_it(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    send()
    sent = Message("q", "mail", (1,), {"to": "ü"}, {"max_retries": 3}, "the-id", 1_700_000_000_000)
    broker.enqueue(sent)
    job = look_up(broker, "the-id")
    assert (job.queue, job.state, job.actor, job.args, job.kwargs) == ("q", "waiting", "mail", (1,), {"to": "ü"})
    assert (job.options, job.priority, job.created_at) == ({"max_retries": 3}, 5, 1_700_000_000_000)
    assert (job.attempts, job.started_at, job.worker, job.position, job.errors) == (0, None, None, 1, [])
    worker = hand()
    worker.fetch(2)
    job = look_up(broker, "the-id", queue="q")
    assert (job.attempts, job.worker, job.position, job.ended_at) == (1, worker.token, None, None)
    assert abs(job.started_at - broker.inspector.stats("q").now) < 2000


def test_an_unknown_job_is_none(broker: JobyardBroker, send: Callable[..., str]) -> None:
    job_id = send()
    assert broker.inspector.job("unknown") is None
    assert broker.inspector.job(job_id, queue="other") is None
    assert broker.inspector.jobs_by_id("q", ["unknown", job_id, "x"])[0].id == job_id
    assert broker.inspector.jobs_by_id("q", []) == []


def test_lists_come_in_pages(broker: JobyardBroker) -> None:
    sent = [message() for _ in range(250)]
    broker.enqueue_many(sent)
    listed = []
    for offset in range(0, 300, 60):
        page = broker.inspector.jobs("q", "waiting", offset=offset, limit=60)
        assert len(page) == (60 if offset < 240 else 10)
        listed += [job.id for job in page]
    assert listed == [one.message_id for one in sent]
    assert broker.inspector.jobs("q", "waiting", offset=1000) == []


def test_delayed_jobs_are_listed_by_their_due_time(broker: JobyardBroker, send: Callable[..., str]) -> None:
    late, soon = send(delay=90_000), send(delay=30_000)
    jobs = broker.inspector.jobs("q", "delayed")
    assert [job.id for job in jobs] == [soon, late]
    assert jobs[1].due_at - jobs[0].due_at == pytest.approx(60_000, abs=1000)


def test_all_queues_that_ever_had_a_job_are_listed(broker: JobyardBroker, send: Callable[..., str]) -> None:
    for queue in ("b", "a", "c/0"):
        send(queue)
    broker.flush("a")
    assert broker.inspector.queues() == ["a", "b", "c/0"]


def test_the_audit_finds_a_job_that_was_taken_away_by_hand(broker: JobyardBroker, send: Callable[..., str]) -> None:
    job_id = send()
    client, keys = broker.server.client(), broker.keys("q")
    client.zrem(keys["ready"], job_id)
    stats = broker.inspector.stats("q")
    assert (stats.lost, stats.orphaned) == (1, 1)
    client.zadd(keys["ready"], {job_id: 1})


def test_flush_discards_what_has_not_started(broker: JobyardBroker, one_of_each: dict[str, str]) -> None:
    broker.enqueue_many([message() for _ in range(1500)])
    broker.flush("q")
    stats = broker.inspector.stats("q")
    assert (stats.waiting, stats.delayed, stats.active, stats.dead, stats.kept_completed) == (0, 0, 1, 1, 1)
    assert stats.counts["discarded"] == 1502
