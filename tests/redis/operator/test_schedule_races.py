"""Several operators that all think that they lead, and that are killed in between: each tick is one job."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobyard.broker import JobyardBroker
from jobyard_operator.core.schedules import job_id
from support.processes import spawn
from support.servers import Kind, Server
from support.waiting import eventually

RACER = Path(__file__).parent / "programs" / "racer.py"
COUNT = 1000


@pytest.mark.slow
def test_four_writers_make_one_job_of_each_tick(broker: JobyardBroker, redis_url: str) -> None:
    command = [sys.executable, RACER, redis_url, broker.namespace, COUNT]
    racers = [spawn(command) for _ in range(4)]
    # One of them is killed in the middle, and begins again.
    eventually(lambda: broker.inspector.stats("q").counts.get("accepted", 0) > COUNT // 4, timeout=60)
    racers[0].kill()
    racers.append(spawn(command))
    assert [racer.wait(timeout=60) for racer in racers[1:]] == [0, 0, 0, 0]
    racers[0].wait()

    stats = broker.inspector.stats("q")
    assert (stats.counts["accepted"], stats.waiting) == (COUNT, COUNT)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [job_id("racing", start + timedelta(seconds=second)) for second in range(COUNT)]
    assert {job.id for job in broker.inspector.jobs_by_id("q", ids)} == set(ids)
    assert broker.schedules.look("q", "racing").counts["recorded"] == COUNT


@pytest.mark.parametrize("kind", ["valkey", "redis"])
def test_a_server_that_is_killed_has_both_or_neither(
    start_server: Callable[..., Server], make_broker: Callable[..., JobyardBroker], kind: Kind
) -> None:
    server = start_server(kind, aof=True)
    broker = make_broker(server.url, patience=30.0)
    racers = [spawn([sys.executable, RACER, server.url, broker.namespace, COUNT]) for _ in range(2)]
    eventually(lambda: broker.inspector.stats("q").counts.get("accepted", 0) > 50, timeout=60)
    server.kill()
    server.start()
    for racer in racers:
        racer.kill()
        racer.wait()
    stats = broker.inspector.stats("q")
    recorded = broker.schedules.look("q", "racing").counts["recorded"]
    assert recorded == stats.waiting == stats.counts["accepted"] > 50
    # Whoever comes next completes it.
    last = spawn([sys.executable, RACER, server.url, broker.namespace, COUNT])
    assert last.wait(timeout=60) == 0
    assert broker.inspector.stats("q").waiting == COUNT
