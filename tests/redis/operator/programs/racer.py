"""Records ticks as fast as it can: racer.py URL NAMESPACE COUNT. The first tick is at 2026-01-01T00:00:00Z, one a second."""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta

from jobyard_operator.core.schedules import Enqueue, Tick
from jobyard_operator.redis.connection import connect
from jobyard_operator.redis.schedules import apply
from jobyard_operator.resources import JobSchedule

url, namespace, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
schedule = JobSchedule.parse(
    {
        "metadata": {"name": "racing", "uid": "racing"},
        "spec": {"schedules": ["* * * * * *"], "queueRef": {"name": "q"}, "template": {"actor": "work"}},
    }
)
broker = connect(url, namespace)
start = datetime(2026, 1, 1, tzinfo=UTC)
at = 0
while at < count:
    # Each goes its own steps, and over the same ground twice.
    some = range(at, min(count, at + random.randint(1, 9)))
    ticks = [Tick(start + timedelta(seconds=n), start + timedelta(seconds=n)) for n in some]
    apply(broker, "q", 1, schedule, [Enqueue(tick, late=True) for tick in ticks])
    at = max(at + 1, some[-1] - 1) if random.random() < 0.3 else some[-1] + 1
broker.close()
