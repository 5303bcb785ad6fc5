"""The same programs on `MemoryBroker` and on a real server with a real worker: the same runs in the same order, the same ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import dramatiq
import pytest

import jobyard
from jobyard import JobyardBroker, RetryPolicy
from jobyard.broker.policy import QueuePolicy
from jobyard.errors import RateLimitExceeded
from jobyard.testing import MemoryBroker

QUICK: Final = RetryPolicy(attempts=3, initial=0.01, factor=1)


class Program:
    """What a scenario has: a broker, a list of what ran, and `finish`, which lets everything happen."""

    def __init__(self, broker: JobyardBroker, finish: Callable[[], None]) -> None:
        self.broker = broker
        self.ran: list[Any] = []
        self.finish = finish

        @jobyard.actor(queue_name="q", retry=QUICK)
        def work(name: Any, *, fail: str = "") -> Any:
            self.ran.append(name)
            if fail == "permanent":
                raise jobyard.PermanentError(f"{name} can't be")
            if fail == "once" and self.ran.count(name) == 1:
                raise ValueError(f"{name}, once")
            if fail == "always":
                raise ValueError(f"{name}, always")
            if fail == "later" and self.ran.count(name) < 5:
                raise jobyard.RetryAfter(0.01)
            return name

        self.work = work

    def send(self, *args: Any, fail: str = "", **options: Any) -> str:
        sent = self.work.send_with_options(args=args, kwargs={"fail": fail} if fail else {}, **options)
        return str(sent.message_id)

    def state(self, job_id: str) -> tuple[Any, ...]:
        job = self.broker.inspector.job(job_id)
        assert job is not None
        return job.state, job.attempts, [(error["error"], error["message"]) for error in job.errors]


@pytest.fixture(params=["in memory", "on a real server"])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    if request.param == "in memory":
        memory: MemoryBroker = request.getfixturevalue("memory")

        def finish() -> None:
            memory.run(fail_fast=False)
            memory.advance(5, fail_fast=False)

        yield Program(memory, finish)
        return
    shared, make_broker = request.getfixturevalue("shared_servers"), request.getfixturevalue("make_broker")
    start_worker = request.getfixturevalue("start_worker")
    real = make_broker(shared("valkey").url)

    def work_off() -> None:
        worker = start_worker(broker=real)
        for name in real.inspector.queues():
            real.join(name, timeout=60_000)
        worker.stop()

    before = dramatiq.broker.global_broker
    dramatiq.set_broker(real)
    yield Program(real, work_off)
    dramatiq.broker.global_broker = before


def test_order(program: Program) -> None:
    for name, options in (
        ("c", {}),
        ("d", {}),
        ("a", {"priority": 1}),
        ("e", {"priority": 10}),
        ("b", {"priority": 1}),
    ):
        program.send(name, **options)
    program.finish()
    assert program.ran == ["a", "b", "c", "d", "e"]


def test_delays(program: Program) -> None:
    program.send("late", delay=200)
    program.send("later", delay=timedelta(milliseconds=400))
    program.send("now")
    program.finish()
    assert program.ran == ["now", "late", "later"]


def test_failures(program: Program) -> None:
    ids = [program.send(kind, fail=kind) for kind in ("permanent", "once", "always", "later")]
    program.finish()
    assert [program.state(one) for one in ids] == [
        ("dead", 1, [("PermanentError", "permanent can't be")]),
        ("completed", 2, [("ValueError", "once, once")]),
        ("dead", 3, [("ValueError", "always, always")] * 3),
        ("completed", 1, []),
    ]
    assert sorted(program.ran) == ["always"] * 3 + ["later"] * 5 + ["once"] * 2 + ["permanent"]
    groups = sorted((group.error, group.count, group.dead) for group in program.broker.failures.groups("q"))
    assert groups == [("PermanentError", 1, 1), ("ValueError", 1, 0), ("ValueError", 3, 1)]


def test_results_and_progress(program: Program) -> None:
    @jobyard.actor(queue_name="q")
    def counts() -> dict[str, int]:
        jobyard.report_progress(100, "all", rows=3)
        jobyard.log("counted", rows=3)
        return {"rows": 3}

    @jobyard.actor(queue_name="q")
    async def waits(x: int) -> int:
        return x + 1

    message, other = counts.send(), waits.send(1)
    program.finish()
    assert (message.get_result(), other.get_result()) == ({"rows": 3}, 2)
    job = program.broker.inspector.job(message.message_id)
    assert job is not None
    assert job.progress == {"percent": 100.0, "message": "all", "counts": {"rows": 3}}
    assert [line.message for line in program.broker.inspector.logs(message.message_id)] == ["counted rows=3"]


def test_pipelines_groups_and_callbacks(program: Program) -> None:
    heard: list[Any] = []

    @jobyard.actor(queue_name="q")
    def add(x: int, y: int) -> int:
        return x + y

    @jobyard.actor(queue_name="other")
    def hear(message: Any, result: Any) -> None:
        heard.append(result)

    pipe = (add.message(1, 2) | add.message(10)).run()
    together = dramatiq.group([add.message(number, number) for number in range(3)]).run()
    add.send_with_options(args=(20, 1), on_success=hear)
    program.finish()
    assert pipe.get_result() == 13
    assert list(together.get_results()) == [0, 2, 4]
    assert heard == [21]


def test_batches(program: Program) -> None:
    heard: list[str] = []

    @jobyard.actor(queue_name="other")
    def tell(what: str) -> None:
        heard.append(what)

    callbacks = {
        "on_success": tell.message("success"),
        "on_failure": tell.message("failure"),
        "on_complete": tell.message("complete"),
    }
    jobyard.Batch([program.work.message(number) for number in range(5)], **callbacks).enqueue()
    program.finish()
    program.finish()
    assert sorted(program.ran) == [0, 1, 2, 3, 4]
    assert sorted(heard) == ["complete", "success"]
    callbacks = {name: message.copy(message_id=f"{name}-2") for name, message in callbacks.items()}
    fails = program.work.message_with_options(args=("x",), kwargs={"fail": "permanent"})
    jobyard.Batch([fails, program.work.message(6)], **callbacks).enqueue()
    program.finish()
    program.finish()
    assert sorted(heard) == ["complete", "complete", "failure", "success"]


def test_unique_and_idempotent_jobs(program: Program) -> None:
    first = program.send("a", unique="k")
    assert program.send("b", unique="k") == first
    one = program.send("c", idempotency_key="i")
    assert program.send("c", idempotency_key="i") == one
    program.send("old", unique="d", debounce=True, delay=50)
    program.send("new", unique="d", debounce=True, delay=50)
    program.finish()
    assert program.ran == ["a", "c", "new"]
    assert program.send("again", unique="k") != first
    program.finish()
    assert program.ran[3:] == ["again"]


def test_limits(program: Program) -> None:
    program.broker.configure("q", QueuePolicy(key_rate=20, key_concurrency=1, fair=True))
    for number in range(3):
        program.send(f"a{number}", key="a")
    program.send("b0", key="b")
    program.finish()
    assert sorted(program.ran[:2]) == ["a0", "b0"]  # both are next in turn
    assert program.ran[2:] == ["a1", "a2"]
    program.broker.configure("q", QueuePolicy(rate=1, rate_period=60_000, rate_mode="reject"))
    program.send("first")
    with pytest.raises(RateLimitExceeded):
        program.send("second")
    program.finish()
    assert program.ran[4:] == ["first"]


def test_expiry_and_cancel(program: Program) -> None:
    program.broker.pause("q")
    late = program.send("late", expires=100)
    cancelled = program.send("cancelled", delay=10)
    assert program.broker.cancel(cancelled) == "delayed"
    program.broker.resume("q")
    program.send("not in time", delay=300, expires=100)
    program.send("other", delay=1)
    program.finish()
    assert program.state(cancelled)[0] == "cancelled"
    assert program.ran in (["late", "other"], ["other"])
    assert program.state(late)[0] in ("completed", "dead")


def test_dead_letters_are_retried(program: Program) -> None:
    job = program.send("x", fail="permanent")
    program.finish()
    program.broker.dead_letters.edit_and_retry("q", job, lambda args, kwargs: (("y",), {}))
    program.finish()
    assert program.ran == ["x", "y"]
    assert program.state(job)[0] == "completed"
