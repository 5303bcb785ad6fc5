"""What `jobyard top` asks: ledgers, workers and the last dead letters, and rates from two ledgers. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import Job, QueueStats
from jobyard.broker.workers import WorkerInfo, list_workers
from jobyard.cli.facts import job_values, last_error, queue_values, worker_values

#: Dead letters that are looked at: so many of each queue, of so many queues with the most.
_NEWEST: Final = 5
_QUEUES: Final = 20


@dataclass(frozen=True, slots=True)
class Rates:
    """Jobs a second, between two samples."""

    arrived: float = 0.0
    done: float = 0.0
    failed: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look.

    Attributes:
        failing: the newest dead letters, the newest first.
        rates: by queue. Empty in the first sample.
    """

    address: str
    namespace: str
    queues: tuple[QueueStats, ...]
    workers: tuple[WorkerInfo, ...]
    failing: tuple[Job, ...] = ()
    rates: dict[str, Rates] = field(default_factory=dict)


def take(broker: JobyardBroker, names: Sequence[str] | None, before: Sample | None = None) -> Sample:
    """Look.

    Args:
        names: of these queues only; None: of all.
        before: the sample from which rates are counted.

    Raises:
        BrokerError: no answer.
    """
    there = [name for name in broker.inspector.queues() if names is None or name in names]
    queues = tuple(broker.inspector.stats(name) for name in there)
    old = {} if before is None else {one.queue: one for one in before.queues}
    dead = sorted((one for one in queues if one.dead), key=lambda one: -one.dead)[:_QUEUES]
    failing = [job for one in dead for job in broker.inspector.jobs(one.queue, "dead", limit=_NEWEST)]
    workers = [one for one in list_workers(broker) if names is None or set(names) & set(one.queues)]
    return Sample(
        address=broker.server.address,
        namespace=broker.namespace,
        queues=queues,
        workers=tuple(workers),
        failing=tuple(sorted(failing, key=lambda job: -(job.ended_at or 0))[:_NEWEST]),
        rates={one.queue: rates_of(old[one.queue], one) for one in queues if one.queue in old},
    )


def rates_of(before: QueueStats, after: QueueStats) -> Rates:
    """What happened in a queue between two of its ledgers, in jobs a second."""
    seconds = (after.now - before.now) / 1000
    if seconds <= 0:
        return Rates()

    def rate(name: str) -> float:
        return max(0, after.counts.get(name, 0) - before.counts.get(name, 0)) / seconds

    return Rates(rate("accepted"), rate("completed"), rate("failed"))


def values_of(sample: Sample) -> dict[str, Any]:
    """For programs."""
    nothing = Rates()
    rates = {one.queue: sample.rates.get(one.queue, nothing) for one in sample.queues}
    return {
        "queues": [
            {
                **queue_values(one),
                "arrived_per_second": round(rates[one.queue].arrived, 3),
                "done_per_second": round(rates[one.queue].done, 3),
                "failed_per_second": round(rates[one.queue].failed, 3),
            }
            for one in sample.queues
        ],
        "workers": [worker_values(one) for one in sample.workers],
        "failing": [
            {name: job_values(job)[name] for name in ("job_id", "queue", "actor", "attempts", "ended_at")}
            | {"error": last_error(job)}
            for job in sample.failing
        ],
    }
