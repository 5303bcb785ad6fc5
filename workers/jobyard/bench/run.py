"""One whole benchmark: a namespace of its own, filled, drained, measured, and removed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass

import dramatiq

from jobyard.bench.fleet import Fleet
from jobyard.broker import JobyardBroker, keys

#: (jobs a second, jobs) for the latency of a busy and of an idle fleet.
BUSY = (200, 1000)
IDLE = (2, 20)


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured. Rates are jobs a second; latencies are from enqueue to start."""

    jobs: int
    processes: int
    threads: int
    enqueue_per_s: float
    enqueue_bulk_per_s: float
    drain_per_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    idle_latency_p50_ms: float
    round_trips_per_job: float
    redis_us_per_job: float
    bytes_per_job: float
    lost: int

    def rounded(self) -> dict[str, float | int]:
        """With as many digits as mean something."""
        return {name: _round(value) for name, value in asdict(self).items()}


def run(url: str, jobs: int, processes: int, threads: int, say: Callable[[str], None]) -> Report:
    """Measure.

    Args:
        url: of the Redis to measure. What is there is left alone; what is made here is removed.
        jobs: how many to drain.
        say: told what happens.
    """
    broker = JobyardBroker(url, namespace=f"jobyard-bench-{secrets.token_hex(4)}")
    dramatiq.set_broker(broker)
    # Its actors are declared on the broker that is set when they are imported.
    from jobyard.bench import measure

    try:
        broker.pause(measure.QUEUE)
        say(f"enqueueing {jobs:,} jobs, one by one and in bulk …")
        enqueued = measure.enqueue(broker, jobs)
        say(f"starting {processes} worker processes with {threads} threads each …")
        with Fleet(broker, url, processes, threads) as fleet:
            say("draining …")
            drained = measure.drain(broker, jobs, fleet.alive)
            say(f"latency at {BUSY[0]} jobs a second …")
            busy = measure.latencies(broker, *BUSY)
            say(f"latency at {IDLE[0]} jobs a second …")
            idle = measure.latencies(broker, *IDLE)
        stats = broker.inspector.stats(measure.QUEUE)
        return Report(
            jobs=jobs,
            processes=processes,
            threads=threads,
            enqueue_per_s=enqueued.single_per_s,
            enqueue_bulk_per_s=enqueued.bulk_per_s,
            drain_per_s=drained.per_s,
            latency_p50_ms=measure.percentile(busy, 50),
            latency_p99_ms=measure.percentile(busy, 99),
            idle_latency_p50_ms=measure.percentile(idle, 50),
            round_trips_per_job=drained.round_trips_per_job,
            redis_us_per_job=drained.redis_us_per_job,
            bytes_per_job=enqueued.bytes_per_job,
            lost=stats.lost,
        )
    finally:
        _remove(broker)
        broker.close()


def _remove(broker: JobyardBroker) -> None:
    """What the benchmark has left in Redis."""
    names = [keys.registry(broker.namespace), keys.workers(broker.namespace)]
    for queue in broker.inspector.queues():
        names += broker.keys(queue).all
    client = broker.server.client()
    for name in names:
        client.unlink(name)


def _round(value: float) -> float:
    if isinstance(value, int):
        return value
    return round(value) if value >= 1000 else round(value, 4)
