"""The measurements, one function each. They need workers that serve `actors.QUEUE`; who starts those is not their business."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobyard.bench import meter
from jobyard.bench.actors import noop, started
from jobyard.bench.fleet import QUEUE
from jobyard.broker import JobyardBroker

__all__ = ["QUEUE", "drain", "enqueue", "latencies", "percentile"]

#: What a job of the benchmark carries, in bytes.
PAYLOAD = "x" * 160
#: Jobs for the measurement of single enqueues.
SINGLE = 5_000


class WorkersDiedError(Exception):
    """The workers ended before the jobs did."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """Jobs a second, one by one and in bulk; bytes in Redis for each."""

    single_per_s: float
    bulk_per_s: float
    bytes_per_job: float
    jobs: int


@dataclass(frozen=True, slots=True)
class Drained:
    """Jobs a second; calls to Redis, and microseconds of Redis's CPU, for each."""

    per_s: float
    round_trips_per_job: float
    redis_us_per_job: float


def enqueue(broker: JobyardBroker, jobs: int) -> Enqueued:
    """Fill the paused queue: first one by one from one thread, then the rest in bulk."""
    client = broker.server.client()
    single = min(SINGLE, max(1, jobs // 2))
    begun = time.perf_counter()
    for _ in range(single):
        noop.send(PAYLOAD)
    single_took = time.perf_counter() - begun

    messages = [noop.message(PAYLOAD) for _ in range(jobs - single)]
    before = meter.read(client)
    begun = time.perf_counter()
    broker.enqueue_many(messages)
    bulk_took = time.perf_counter() - begun
    memory = meter.read(client).memory - before.memory
    return Enqueued(single / single_took, len(messages) / bulk_took, memory / len(messages), jobs)


def drain(broker: JobyardBroker, jobs: int, alive: Callable[[], bool]) -> Drained:
    """Let the workers, which are there and idle, empty the queue.

    Raises:
        WorkersDiedError: they didn't.
    """
    client = broker.server.client()
    before = meter.read(client)
    done = broker.inspector.stats(QUEUE).completed + jobs
    begun = time.perf_counter()
    broker.resume(QUEUE)
    while broker.inspector.stats(QUEUE).completed < done:
        if not alive():
            raise WorkersDiedError("the workers ended before the jobs did; see their output above")
        # Seldom enough to cost nothing, often enough to be exact to a percent.
        time.sleep(max(0.01, jobs / 5_000_000))
    took = time.perf_counter() - begun
    after = meter.read(client)
    return Drained(jobs / took, (after.calls - before.calls) / jobs, (after.cpu - before.cpu) / jobs * 1e6)


def latencies(broker: JobyardBroker, rate: float, jobs: int) -> list[float]:
    """Milliseconds from enqueue to start, of `jobs` jobs that come at a steady rate (a second); sorted."""
    ids = []
    due = time.perf_counter()
    for _ in range(jobs):
        due += 1 / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        ids.append(started.send(time.time_ns()).message_id)
    for job_id in ids[-1:]:
        broker.inspector.wait(job_id, queue=QUEUE, deadline=time.monotonic() + 10)
    ended = broker.inspector.jobs_by_id(QUEUE, ids)
    return sorted(int(job.encoded_result) / 1e6 for job in ended if job.encoded_result is not None)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Of sorted values, by the nearest rank; not a number where there is none."""
    if not ordered:
        return math.nan
    return ordered[min(len(ordered) - 1, math.ceil(percent / 100 * len(ordered)) - 1)]
