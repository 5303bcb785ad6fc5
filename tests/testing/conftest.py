"""Brokers in memory, each the global one during its test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import dramatiq
import pytest

from jobyard.testing import MemoryBroker


@pytest.fixture
def memory() -> Iterator[MemoryBroker]:
    """A broker whose time begins with 2027. Afterwards its ledger must add up."""
    made = MemoryBroker(now=datetime(2027, 1, 1, tzinfo=UTC))
    before = dramatiq.broker.global_broker
    dramatiq.set_broker(made)
    yield made
    dramatiq.broker.global_broker = before
    for name in made.inspector.queues():
        stats = made.inspector.stats(name)
        assert (stats.lost, stats.orphaned) == (0, 0), stats
    made.close()
