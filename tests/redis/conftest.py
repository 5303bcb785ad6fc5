"""What the broker's tests have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobyard.broker import JobyardBroker
from support.hand import Hand, message


@pytest.fixture
def hand(request: pytest.FixtureRequest) -> Iterator[Callable[..., Hand]]:
    """Makes workers played by hand: `hand("queue", …, lease=15)`. What they hold at the end stays leased."""
    made: list[Hand] = []
    if "broker" in request.fixturenames:
        request.getfixturevalue("broker")  # Made first, so that it is taken down last.

    def make(*queues: str, lease: float = 15.0, broker: JobyardBroker | None = None, patience: float = 2.0) -> Hand:
        if broker is None:
            broker = request.getfixturevalue("broker")
        made.append(Hand(broker, list(queues or ("q",)), lease, patience))
        return made[-1]

    yield make
    for one in made:
        one.dispatcher.close()


@pytest.fixture
def send(broker: JobyardBroker) -> Callable[..., str]:
    """Enqueues a job: `send("q", 1, 2, delay=100, priority=1)`. Returns its id."""

    def enqueue(queue: str = "q", *args: Any, delay: int | None = None, **more: Any) -> str:
        return broker.enqueue(message(queue, *args, **more), delay=delay).message_id

    return enqueue


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> float:
    """Idle workers look by themselves once a second instead of once in five, so that the tests need less time."""
    for module in ("wakeup", "dispatcher"):
        monkeypatch.setattr(f"jobyard.broker.{module}.LONGEST", 1.0)
    return 1.0
