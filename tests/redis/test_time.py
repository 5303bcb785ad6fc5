"""Time is the server's: a client's clock may say what it wants."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from jobyard.broker import JobyardBroker
from support.hand import Hand, look_up
from support.waiting import eventually


@pytest.fixture(params=[-120, 120, 86_400 * 400])
def skew(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """The process's clock is wrong by so many seconds."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + request.param)
    seconds: float = request.param
    return seconds


def test_a_wrong_clock_shifts_no_due_time(
    skew: float, broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    soon, later = send(delay=150), send(delay=600_000)
    assert worker.ids() == []
    assert eventually(lambda: worker.ids(2), 2) == [soon]
    now = broker.inspector.stats("q").now
    assert 590_000 < look_up(broker, later).due_at - now <= 600_000


def test_a_wrong_clock_shifts_no_lease(
    skew: float, broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker, other = hand(), hand()
    job_id = send()
    worker.fetch_one()
    worker.renew()
    assert other.ids() == []
    lease = broker.server.client().zscore(broker.keys("q")["active"], job_id) - broker.inspector.stats("q").now
    assert 14_000 < lease <= 15_000


def test_a_wrong_clock_shifts_no_order(skew: float, hand: Callable[..., Hand], send: Callable[..., str]) -> None:
    first, second = send(), send()
    assert hand().ids(2) == [first, second]
