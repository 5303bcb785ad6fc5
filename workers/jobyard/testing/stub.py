"""Dramatiq's `StubBroker` that knows what Jobyard's actors can say.

    broker = jobyard.testing.stub_broker()
    dramatiq.set_broker(broker)

    from app import emails

    def test_a_refused_address_is_not_tried_again():
        worker = dramatiq.Worker(broker, worker_timeout=100)
        worker.start()
        emails.welcome.send("nobody")
        with pytest.raises(PermanentError):
            broker.join("emails")
        worker.stop()

An actor's function can also be called directly, without any broker: `emails.welcome("nobody")`.
"""

from __future__ import annotations

from typing import Any

from dramatiq import Message
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AsyncIO, CurrentMessage, Middleware
from dramatiq.results import Results
from dramatiq.results.backends.stub import StubBackend

from jobyard.broker.wishes import OPTIONS, WORKER_OPTIONS
from jobyard.middleware import default_middleware

__all__ = ["stub_broker"]


def stub_broker(
    *, delays: bool = True, middleware: list[Middleware] | None = None, fail_fast_default: bool = True
) -> StubBroker:
    """Dramatiq's `StubBroker` with our retries and `on_dead`, with results, and for async actors.

    What is Redis's part (priorities, unique jobs, expiry) may be declared and has no effect.

    Args:
        delays: False: nothing is delayed, so that a test doesn't wait for the second attempt.
        middleware: yours, added after ours.
        fail_fast_default: whether `broker.join` raises what a job died of.
    """
    broker = (
        StubBroker([], fail_fast_default=fail_fast_default)
        if delays
        else _Hasty([], fail_fast_default=fail_fast_default)
    )
    broker.actor_options |= OPTIONS | WORKER_OPTIONS
    results = Results(backend=StubBackend(), store_results=True)
    for one in [*default_middleware(), CurrentMessage(), AsyncIO(), results, *(middleware or [])]:
        broker.add_middleware(one)
    return broker


class _Hasty(StubBroker):
    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        return super().enqueue(message)
