"""A worker that lost its job changes nothing: not the job, not its result, not the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import Completed, Delivery, FollowUp
from jobyard.broker.envelope import seal
from jobyard.broker.scripts import script
from jobyard.errors import Cancelled
from support.hand import Hand, look_up, message
from support.snapshot import snapshot
from support.waiting import eventually


def done_with_follow_up(worker: Hand, job: Delivery) -> Any:
    new = message("q", job_id="follow-up")
    job.follow_ups.append(FollowUp("q", "follow-up", seal(new, 5), 5, 0))
    return worker.done(job, b"1")


def cancelled(worker: Hand, job: Delivery) -> Any:
    job.stuff_exception(Cancelled())
    return worker.settle(job)


ENDINGS: dict[str, Callable[[Hand, Delivery], Any]] = {
    "done": lambda worker, job: worker.done(job, b"1"),
    "done with follow-up": done_with_follow_up,
    "retry": lambda worker, job: worker.retry(job, 1000),
    "retry without using an attempt": lambda worker, job: worker.retry(job, 1000, counted=False),
    "dead": lambda worker, job: worker.bury(job),
    "cancelled": cancelled,
    "back": lambda worker, job: worker.back(job),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("state", ["running elsewhere", "waiting again", "completed elsewhere", "discarded"])
def test_the_end_of_a_run_that_lost_its_job_changes_nothing(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], ending: str, state: str
) -> None:
    first, second = hand(), hand()
    send()
    job = first.fetch_one()
    broker.revoke(first.token, b'{"error":"WorkerDied"}')
    if state == "discarded":
        broker.flush("q")
    elif state != "waiting again":
        other = second.fetch_one()
        if state == "completed elsewhere":
            second.done(other, b"2")

    before = snapshot(broker)
    answer = ENDINGS[ending](first, job)

    assert snapshot(broker) == before
    assert answer.stale == 1


def test_a_run_that_lost_its_job_to_itself_changes_nothing(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    """The same process may get its own job again; the call that fetched it tells the two runs apart."""
    worker = hand()
    send()
    first = worker.fetch_one()
    broker.revoke(worker.token, b'{"error":"WorkerDied"}')
    second = worker.fetch_one()
    assert (first.attempt, second.attempt) == (1, 2)
    assert worker.bury(first).stale == 1
    assert worker.done(second).stale == 0
    assert broker.inspector.stats("q").completed == 1


def test_renewing_or_reporting_on_a_lost_job_changes_nothing_and_says_so(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    first, second = hand(), hand()
    job_id = send()
    job = first.fetch_one()
    broker.revoke(first.token, b'{"error":"WorkerDied"}')
    second.fetch_one()
    leases = broker.server.client().zrange(broker.keys("q")["active"], 0, -1, withscores=True)
    assert first.renew() == ([job_id], [])
    arguments = (first.token, job_id, job.call, b'{"percent":1}')
    assert broker.link.call(script("report"), broker.keys("q").all, arguments) == 0
    assert broker.server.client().zrange(broker.keys("q")["active"], 0, -1, withscores=True) == leases
    assert look_up(broker, job_id).progress is None


def test_a_dead_workers_completed_jobs_count_only_if_they_were_still_its_own(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    first, second = hand(), hand()
    job_id = send()
    job = first.fetch_one()
    broker.revoke(first.token, b'{"error":"WorkerDied"}')
    second.fetch_one()
    assert broker.revoke(first.token, b'{"error":"x"}', completed=[Completed(job_id, job.call)]) == (0, 0)
    assert look_up(broker, job_id).worker == second.token


def test_a_late_end_counts_when_nobody_else_took_the_job(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    """The lease is over, but the fence still stands: then the work that was done is worth keeping."""
    worker = hand(lease=0.05)
    job_id = send()
    job = worker.fetch_one()
    stats = broker.inspector.stats
    key = broker.keys("q")["active"]
    eventually(lambda: broker.server.client().zscore(key, job_id) < stats("q").now)
    assert worker.done(job).stale == 0
    assert stats("q").completed == 1
