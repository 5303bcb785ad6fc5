"""`MemoryBroker`: jobs run when the test says so, at the times that it says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import jobyard
from jobyard import RetryPolicy
from jobyard.broker.caller import worker_token
from jobyard.broker.exchange import Exchange
from jobyard.broker.link import Link
from jobyard.broker.pods import fence
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.retiring import release, retire
from jobyard.testing import MemoryBroker


def test_nothing_runs_by_itself(memory: MemoryBroker) -> None:
    ran: list[int] = []

    @jobyard.actor
    def work(number: int) -> None:
        ran.append(number)

    message = work.send(1)
    assert [job.id for job in memory.jobs("waiting")] == [message.message_id]
    with pytest.raises(RuntimeError, match=r"call broker\.run\(\)"):
        message.get_result(block=True)
    assert (memory.run(), ran) == (1, [1])
    assert memory.run() == 0
    assert message.get_result(block=True) is None


def test_time_passes_when_it_is_told_to(memory: MemoryBroker) -> None:
    ran: list[tuple[str, float]] = []
    begin = memory.now
    assert begin == datetime(2027, 1, 1, tzinfo=UTC)

    @jobyard.actor
    def work(name: str) -> None:
        ran.append((name, (memory.now - begin).total_seconds()))

    work.send_with_options(args=("day",), delay=timedelta(days=1))
    work.send_with_options(args=("hour",), delay=timedelta(hours=1))
    assert memory.run() == 0
    assert memory.advance(3599.999) == 0
    assert memory.advance(0.001) == 1
    assert memory.advance_to(begin + timedelta(days=2)) == 1
    assert ran == [("hour", 3600.001), ("day", 86400)]  # one after the other was sent
    assert memory.now == begin + timedelta(days=2)
    with pytest.raises(ValueError, match="forward only"):
        memory.advance(-1)
    with pytest.raises(ValueError, match="time zone"):
        memory.advance_to(datetime(2030, 1, 1))  # noqa: DTZ001 - that is what is refused


def test_retries_come_exactly_when_the_policy_says(memory: MemoryBroker) -> None:
    times: list[float] = []
    begin = memory.now

    @jobyard.actor(retry=RetryPolicy(attempts=4, initial=2, factor=3, jitter=1))
    def work() -> None:
        times.append((memory.now - begin).total_seconds())
        raise ValueError("no")

    @jobyard.actor(max_retries=2, min_backoff=15_000)
    def old() -> None:
        raise KeyError("no")

    work.send()
    assert memory.run() == 1  # It will be tried again, so nothing is wrong yet.
    with pytest.raises(ValueError, match="no"):
        memory.advance(60)
    assert times == [0, 2, 8, 26]
    old.send()
    with pytest.raises(KeyError):
        memory.advance(45)
    assert [job.ended_at for job in memory.dead] == [int(begin.timestamp() * 1000) + at for at in (26_000, 105_000)]


def test_a_dead_letter_fails_the_test_unless_it_is_expected(memory: MemoryBroker) -> None:
    @jobyard.actor(max_retries=0)
    def fails() -> None:
        raise ValueError("no")

    @jobyard.actor(max_retries=0, throws=ValueError)
    def may_fail() -> None:
        raise ValueError("that happens")

    @jobyard.actor
    def works() -> None: ...

    fails.send()
    works.send()
    with pytest.raises(ValueError, match="no"):
        memory.run()
    assert [job.actor for job in memory.completed] == ["works"]
    may_fail.send()
    assert memory.run() == 1
    memory.dead_letters.retry_all("default")
    assert memory.run(fail_fast=False) == 2
    assert [job.actor for job in memory.dead] == ["fails", "may_fail"]


def test_jobs_end_in_the_order_in_which_they_ran(memory: MemoryBroker) -> None:
    @jobyard.actor
    def work(number: int) -> None: ...

    for number in range(20):
        work.send(number)
    memory.run()
    assert [job.args[0] for job in memory.completed] == list(range(20))
    assert memory.jobs(actor="nobody") == []


def test_rates_are_kept_by_the_clock(memory: MemoryBroker) -> None:
    times: list[float] = []
    begin = memory.now

    @jobyard.actor(queue_name="slow")
    def work() -> None:
        times.append((memory.now - begin).total_seconds())

    memory.configure("slow", QueuePolicy(rate=1, rate_period=10_000))
    for _ in range(4):
        work.send()
    assert memory.run() == 1
    memory.advance(60)
    assert times == [at + 0.003 for at in (0, 10, 20, 30)]  # they were sent one after the other


def test_expiry_deadlines_and_retention(memory: MemoryBroker) -> None:
    @jobyard.actor(queue_name="q")
    def work() -> int:
        return 1

    memory.pause("q")
    work.send_with_options(expires=timedelta(minutes=1))
    work.send_with_options(deadline=timedelta(minutes=2))
    memory.advance(3600)
    assert [job.errors[-1]["error"] for job in memory.dead] == ["Expired", "DeadlineExceeded"]
    memory.resume("q")
    done = work.send()
    memory.run()
    assert done.get_result() == 1
    memory.advance(timedelta(hours=2))
    assert memory.completed == []


def test_a_job_hears_that_it_is_cancelled(memory: MemoryBroker) -> None:
    seen: list[bool] = []

    @jobyard.actor
    def work() -> None:
        job = jobyard.current_job()
        assert job is not None
        assert memory.cancel(job.id) == "active"
        seen.append(job.cancelled)
        raise jobyard.Cancelled

    work.send()
    memory.run()
    assert seen == [True]
    assert len(memory.jobs("cancelled")) == 1


def test_a_job_cannot_run_the_broker(memory: MemoryBroker) -> None:
    @jobyard.actor(max_retries=0)
    def work() -> None:
        memory.advance(1)

    work.send()
    with pytest.raises(RuntimeError, match="a job can't run the broker"):
        memory.run()


def test_jobs_that_enqueue_each_other_without_end(memory: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobyard.testing.broker.MOST_RUNS", 50)

    @jobyard.actor
    def again() -> None:
        again.send()

    again.send()
    with pytest.raises(RuntimeError, match="more than 50 runs"):
        memory.run()


def test_the_order_is_never_a_matter_of_chance(memory: MemoryBroker) -> None:
    ran: list[int] = []

    @jobyard.actor(retry=RetryPolicy(attempts=2, initial=5))
    def work(number: int) -> None:
        ran.append(number)
        if ran.count(number) == 1:
            raise ValueError

    for number in range(20):
        work.send_with_options(args=(number,), delay=timedelta(hours=1))
    assert memory.advance(3600) == 20
    assert memory.advance(60) == 20
    assert ran == [*range(20), *range(20)]
    assert [job.args[0] for job in memory.completed] == list(range(20))


def test_it_starts_afresh(memory: MemoryBroker) -> None:
    ran: list[Any] = []

    @jobyard.actor
    def work(x: int) -> None:
        ran.append(x)

    memory.pause("default")
    work.send(1)
    memory.advance(60)
    memory.reset()
    assert memory.now == datetime(2027, 1, 1, tzinfo=UTC)
    assert memory.jobs() == []
    work.send(2)
    memory.run()
    assert ran == [2]
    assert memory.inspector.queues() == ["default"]


def test_a_worker_that_is_retired_gets_jobs_again_when_its_time_is_over(memory: MemoryBroker) -> None:
    ran: list[datetime] = []
    begin = memory.now

    @jobyard.actor
    def work() -> None:
        ran.append(memory.now)

    memory.run()
    work.send()
    (queue,) = memory.inspector.queues()
    work.send()
    assert memory.run() == 2
    worker = memory._token
    assert retire(memory, queue, [worker], 60) == {worker}
    work.send()
    assert memory.run() == 0
    assert memory.advance(61) == 1
    assert (ran[-1] - begin).total_seconds() >= 60
    retire(memory, queue, [worker], 60)
    work.send()
    assert release(memory, queue, [worker]) == 1
    assert memory.run() == 1


def test_the_jobs_of_a_dead_pod_go_back(memory: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    @jobyard.actor
    def work() -> None: ...

    monkeypatch.setenv("JOBYARD_POD_NAME", "mail-1")
    message = work.send()
    keys = memory.keys(work.queue_name)
    exchange = Exchange(Link(memory.server), memory.namespace, [work.queue_name], worker_token(), 15)
    assert [one.message_id for one in exchange.call(1).deliveries] == [message.message_id]
    assert memory.link.command(b"ZCARD", keys["active"], key=keys["active"]) == 1
    assert fence(memory, "mail-1", b'{"error":"Evicted"}', counts=False) == (1, 1)
    assert fence(memory, "mail-1", b'{"error":"Evicted"}', counts=False) == (0, 0)
    assert memory.run() == 1
