"""Unit tests of applications with Dramatiq's `StubBroker`: for actors of either kind, plain or as `jobyard.testing` makes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries
from pydantic import BaseModel

import jobyard
from jobyard import PayloadError, PermanentError, RetryAfter, RetryPolicy
from jobyard.middleware import Deaths, JobRetries
from jobyard.testing import stub_broker

QUICK = RetryPolicy(attempts=3, initial=0.001, factor=1)


class Busy(Exception): ...


class Hopeless(Exception): ...


@pytest.fixture
def use() -> Iterator[Callable[[StubBroker], StubBroker]]:
    """Makes a broker the global one, and starts a worker on it, as Dramatiq's guide to testing does."""
    before = dramatiq.broker.global_broker
    workers: list[dramatiq.Worker] = []

    def use(broker: StubBroker) -> StubBroker:
        broker.emit_after("process_boot")
        dramatiq.set_broker(broker)
        workers.append(dramatiq.Worker(broker, worker_timeout=20, worker_threads=1))
        workers[-1].start()
        return broker

    yield use
    for worker in workers:
        worker.stop()
    dramatiq.broker.global_broker = before


@pytest.fixture(params=["Dramatiq's", "Dramatiq's with our retries", "ours"])
def broker(request: pytest.FixtureRequest, use: Callable[[StubBroker], StubBroker]) -> StubBroker:
    """Each way to have a broker in a unit test."""
    if request.param == "ours":
        return use(stub_broker())
    made = StubBroker()
    if request.param == "Dramatiq's with our retries":
        made.middleware = [one for one in made.middleware if not isinstance(one, Retries)]
        made.add_middleware(JobRetries())
    return use(made)


def runs_of(broker: StubBroker, raised: Any, declare: Callable[..., Any] = jobyard.actor, **options: Any) -> int:
    """How often a job ran that raises this each time; or one of a list after the other, and succeeds in the end."""
    runs: list[int] = []
    left = iter(raised) if isinstance(raised, list) else None

    @declare(actor_name=f"fails_{time.monotonic_ns()}", **options)
    def fails() -> None:
        runs.append(1)
        error = raised if left is None else next(left, None)
        if error is not None:
            raise error

    fails.send()
    broker.join("default", timeout=10_000, fail_fast=False)
    return len(runs)


def test_actors_of_dramatiq(broker: StubBroker) -> None:
    options = {"max_retries": 2, "min_backoff": 1, "max_backoff": 2}
    assert runs_of(broker, Busy(), dramatiq.actor, **options) == 3
    assert runs_of(broker, Busy(), dramatiq.actor, throws=Busy) == 1
    assert runs_of(broker, [Busy()], dramatiq.actor, **options) == 2
    assert [str(letter.actor_name)[:5] for letter in broker.dead_letters] == ["fails"] * 2


def test_a_retry_policy(broker: StubBroker) -> None:
    assert runs_of(broker, Busy(), retry=QUICK) == 3
    assert runs_of(broker, [Busy()], retry=QUICK) == 2


def test_a_retry_policy_with_exceptions(broker: StubBroker) -> None:
    policy = QUICK.on(Busy, RetryPolicy(attempts=5, initial=0.001)).never((Hopeless, KeyError))
    assert runs_of(broker, Busy(), retry=policy) == 5
    assert runs_of(broker, KeyError("x"), retry=policy) == 1
    assert runs_of(broker, ValueError("x"), retry=policy) == 3


def test_a_policy_without_end(broker: StubBroker) -> None:
    policy = RetryPolicy(attempts=None, initial=0.001, maximum=0.002)
    assert runs_of(broker, [Busy()] * 25, retry=policy) == 26


def test_a_permanent_error(broker: StubBroker) -> None:
    assert runs_of(broker, PermanentError("no"), retry=QUICK) == 1
    assert runs_of(broker, PermanentError("no")) == 1
    assert runs_of(broker, PermanentError("no"), retry=QUICK, throws=ValueError) == 1
    assert runs_of(broker, ValueError("x"), retry=QUICK, throws=(ValueError, KeyError)) == 1


def test_a_dead_letter_fails_the_test_that_joins(broker: StubBroker) -> None:
    @jobyard.actor(retry=QUICK)
    def fails() -> None:
        raise PermanentError("no such user")

    fails.send()
    with pytest.raises(PermanentError, match="no such user"):
        broker.join("default", timeout=10_000)


def test_payloads_and_priorities(broker: StubBroker) -> None:
    class Invoice(BaseModel):
        customer: int
        priority: jobyard.priority.PriorityField = None

    made: list[Invoice] = []

    @jobyard.actor(payload=Invoice)
    def make_invoice(invoice: Invoice) -> None:
        made.append(invoice)

    with pytest.raises(PayloadError, match="customer: Input should be a valid integer"):
        make_invoice.send(customer="x")
    make_invoice.send(customer=1, priority="high")
    assert make_invoice.message(customer=1, priority="high").options["priority"] == 2
    broker.join("default", timeout=10_000)
    assert [(one.customer, one.priority) for one in made] == [(1, 2)]
    # An actor can be called directly, too; there is no job then.
    make_invoice(customer=2)
    assert made[1].customer == 2
    assert jobyard.current_job() is None


def test_what_the_broker_does_not_know_is_refused_as_ever(use: Callable[[StubBroker], StubBroker]) -> None:
    use(StubBroker())
    with pytest.raises(ValueError, match="The following actor options are undefined: on_dead"):
        jobyard.actor(on_dead="somebody")(lambda: None)


def test_without_any_retries_the_policy_is_only_noted(use: Callable[[StubBroker], StubBroker]) -> None:
    broker = use(StubBroker(middleware=[]))
    assert runs_of(broker, Busy(), retry=QUICK) == 1


def test_our_retries_added_after_the_actors_know_their_policies(use: Callable[[StubBroker], StubBroker]) -> None:
    broker = StubBroker(middleware=[])
    dramatiq.set_broker(broker)
    runs: list[int] = []

    @jobyard.actor(retry=QUICK)
    def fails() -> None:
        runs.append(1)
        raise Busy

    broker.add_middleware(JobRetries())
    use(broker)
    fails.send()
    broker.join("default", timeout=10_000, fail_fast=False)
    assert len(runs) == 3


# Only ours ---------------------------------------------------------------------------------------------------------


def test_retry_after_uses_no_attempt(use: Callable[[StubBroker], StubBroker]) -> None:
    broker = use(stub_broker())
    assert runs_of(broker, [*[RetryAfter(0)] * 10, Busy(), Busy(), Busy(), None], retry=QUICK) == 13


def test_without_delays_a_test_need_not_wait(use: Callable[[StubBroker], StubBroker]) -> None:
    broker = use(stub_broker(delays=False))
    began = time.monotonic()
    assert runs_of(broker, Busy(), retry=RetryPolicy(attempts=5, initial=3600)) == 5
    assert time.monotonic() - began < 5


def test_on_dead_results_and_async_actors(use: Callable[[StubBroker], StubBroker]) -> None:
    broker = use(stub_broker())
    heard: list[Any] = []

    @jobyard.actor(on_dead="undertaker", queue_name="q")
    def dies() -> None:
        raise PermanentError("no hope")

    @dramatiq.actor(queue_name="q")
    def undertaker(message_data: dict[str, Any], error: dict[str, str]) -> None:
        heard.append(error)

    @jobyard.actor(queue_name="q")
    async def adds(x: int, y: int) -> int:
        return x + y

    dies.send()
    message = adds.send(1, 2)
    broker.join("q", timeout=10_000, fail_fast=False)
    assert heard == [{"type": "PermanentError", "message": "no hope"}]
    assert message.get_result() == 3


def test_its_middleware_is_that_of_a_real_broker(use: Callable[[StubBroker], StubBroker]) -> None:
    real = jobyard.JobyardBroker("redis://127.0.0.1:1")
    ours = stub_broker(middleware=[Deaths()])
    assert real.actor_options <= ours.actor_options
    assert [type(one) for one in ours.middleware][-1] is Deaths
