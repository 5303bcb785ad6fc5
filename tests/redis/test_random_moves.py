"""Thousands of random moves by several workers on several queues: whatever the order, the ledger adds up."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from jobyard.broker import JobyardBroker
from support.hand import Hand
from support.proxy import Proxy
from support.servers import Server
from support.walk import Walk, roam


@pytest.mark.parametrize("seed", [1, 2])
def test_the_ledger_adds_up_whatever_happens(broker: JobyardBroker, hand: Callable[..., Hand], seed: int) -> None:
    roam(Walk(broker, hand, seed), broker, rounds=20)


def test_the_ledger_adds_up_whatever_happens_and_whichever_replies_get_lost(
    server: Server,
    broker: JobyardBroker,
    hand: Callable[..., Hand],
    make_broker: Callable[..., JobyardBroker],
    start_proxy: Callable[[int], Proxy],
) -> None:
    proxy = start_proxy(server.port)
    proxy.lose_at_random(0.03, seed=4)
    broken = make_broker(proxy.url)
    walk = Walk(broken, functools.partial(hand, broker=broken), seed=5)
    roam(walk, broker, rounds=6)
    assert proxy.lost > 10
