"""`jobyard.actor(retry=…)`: the waits are read from Redis, so that nobody has to wait for them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq import Message

import jobyard
from jobyard import PermanentError, Retry, RetryAfter, RetryPolicy
from jobyard.broker import JobyardBroker
from jobyard.broker.dispatcher import Dispatcher
from jobyard.broker.inspector import Job
from jobyard.worker.worker import JobyardWorker
from support.waiting import eventually

POLICY = RetryPolicy(attempts=3, initial=2, factor=2)


class Busy(Exception): ...


class Hopeless(Exception): ...


class Runs:
    """Runs a job as often as it is asked to, without waiting for its time."""

    def __init__(self, broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
        self.broker = broker
        self._start = start_worker

    def once(self, message: Message[Any]) -> Job:
        """Run the job as soon as it is due, which is made to be now. Returns it as it is afterwards."""
        keys, client = self.broker.keys(message.queue_name), self.broker.client
        before = self.job(message)
        if before.state == "delayed":
            # The priority is the fraction of the score.
            score = client.zscore(keys["scheduled"], message.message_id)
            client.zadd(keys["scheduled"], {message.message_id: 1 + score % 1})
        runs = before.attempts + len(before.errors) + (before.started_at or 0)
        worker = self._start(queues=[message.queue_name])
        with contextlib.closing(_Stops(worker)):
            eventually(
                lambda: (
                    (now := self.job(message)).state != "active"
                    and now.attempts + len(now.errors) + (now.started_at or 0) != runs
                )
            )
        return self.job(message)

    def job(self, message: Message[Any]) -> Job:
        job = self.broker.inspector.job(message.message_id, queue=message.queue_name)
        assert job is not None
        return job


class _Stops:
    def __init__(self, worker: JobyardWorker) -> None:
        self._worker = worker

    def close(self) -> None:
        began = time.monotonic()
        self._worker.stop(timeout=5000)
        # Also when it is just about to wait for work.
        assert time.monotonic() - began < 3


@pytest.fixture
def runs(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> Runs:
    return Runs(broker, start_worker)


def wait_of(job: Job) -> float:
    """Seconds from the end of the last attempt to the next."""
    assert job.state == "delayed"
    assert job.due_at is not None
    return (job.due_at - job.errors[-1]["ended_at"]) / 1000


def declare(raised: Any, retry: RetryPolicy | None = POLICY, **options: Any) -> jobyard.JobyardActor:
    """An actor that raises this, or the next of a list."""
    left = iter(raised) if isinstance(raised, list) else None

    @jobyard.actor(actor_name="fails", queue_name="q", retry=retry, **options)
    def fails() -> str:
        error = next(left) if left is not None else raised
        if error is not None:
            raise error
        return "done"

    return fails


def test_three_attempts_with_two_and_four_seconds_between_them(runs: Runs) -> None:
    message = declare(Busy("later")).send()
    assert wait_of(runs.once(message)) == 2
    assert wait_of(runs.once(message)) == 4
    job = runs.once(message)
    assert (job.state, job.attempts) == ("dead", 3)
    assert [error["attempt"] for error in job.errors] == [1, 2, 3]
    assert all(error["error"] == "Busy" and error["worker"] for error in job.errors)


def test_an_exception_with_more_patience(runs: Runs) -> None:
    policy = POLICY.on(Busy, RetryPolicy(attempts=5, initial=60, factor=1))
    message = declare([Busy(), Busy(), Busy(), Busy(), Busy()], policy).send()
    assert [wait_of(runs.once(message)) for _ in range(4)] == [60] * 4
    assert runs.once(message).state == "dead"


def test_an_exception_that_is_never_retried_and_that_is_no_exhaustion(runs: Runs, broker: JobyardBroker) -> None:
    message = declare(Hopeless(), POLICY.never((Hopeless, KeyError)), on_retry_exhausted="nobody").send()
    assert runs.once(message).state == "dead"


def test_retry_after_uses_no_attempt(runs: Runs) -> None:
    message = declare([Busy(), *(RetryAfter(30, "quota") for _ in range(5)), Busy(), Busy()]).send()
    assert wait_of(runs.once(message)) == 2
    for _ in range(5):
        job = runs.once(message)
        assert job.attempts == 1
        assert job.due_at is not None
        assert job.started_at is not None
        assert 30 <= (job.due_at - job.started_at) / 1000 < 32
    assert wait_of(runs.once(message)) == 4
    assert runs.once(message).state == "dead"


def test_retry_with_a_delay_uses_an_attempt(runs: Runs) -> None:
    message = declare([Retry(delay=9_000), Retry("soon"), Retry("no more")]).send()
    assert wait_of(runs.once(message)) == 9
    assert wait_of(runs.once(message)) == 4
    assert runs.once(message).state == "dead"


def test_a_permanent_error_has_no_further_attempt(runs: Runs) -> None:
    job = runs.once(declare(PermanentError("no such user")).send())
    assert (job.state, job.attempts, job.errors[-1]["message"]) == ("dead", 1, "no such user")


def test_a_messages_max_retries_bounds_the_policy(runs: Runs) -> None:
    message = declare(Busy()).send_with_options(max_retries=1)
    assert wait_of(runs.once(message)) == 2
    assert runs.once(message).state == "dead"


def test_attempts_that_end_with_the_death_of_the_worker_count(broker: JobyardBroker, runs: Runs) -> None:
    @dramatiq.actor(actor_name="mourn", queue_name="mourning")
    def mourn(message_data: dict[str, Any], info: dict[str, Any]) -> None: ...

    message = declare(None, on_retry_exhausted="mourn").send()
    for _ in range(3):
        worker = Dispatcher(broker, ["q"], 1)
        # From the second death on the job waits before it runs again.
        (delivery,) = eventually(lambda worker=worker: worker.fetch().deliveries)
        assert delivery.message_id == message.message_id
        broker.revoke(worker.token, b'{"error":"WorkerDied","message":"killed"}')
        worker.close()
    job = runs.once(message)
    assert (job.state, job.attempts) == ("dead", 3)
    assert [error["error"] for error in job.errors] == ["WorkerDied"] * 3
    # Whoever wants to know of used up attempts hears of these, too.
    (heard,) = broker.inspector.jobs("mourning", "waiting")
    assert heard.args[1] == {"retries": 3, "max_retries": 2}
