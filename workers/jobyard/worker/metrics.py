"""What all children have counted, as Prometheus reads it. Counters never go backwards: what a dead child counted stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from jobyard.worker.messages import QueueFigures, Report
from jobyard.worker.metric_names import Metric
from jobyard.worker.tally import BUCKETS

_EDGES = [*map(str, BUCKETS), "+Inf"]


class Books:
    """Sums of what children report. A child's reports are sums since it started; the last one of a dead child is kept."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self.durations: dict[tuple[str, str], list[float]] = {}
        self.stale = 0
        self.evicted = 0

    def add(self, report: Report) -> None:
        """Add up one child's report."""
        for queue, actor, outcome, count in report.outcomes:
            self.outcomes[queue, actor, outcome] += count
        for queue, actor, counts in report.durations:
            known = self.durations.get((queue, actor), [])
            self.durations[queue, actor] = [
                ours + theirs for ours, theirs in zip(known or [0.0] * len(counts), counts, strict=True)
            ]
        self.stale += report.stale
        self.evicted += report.evicted

    def with_reports(self, reports: Iterable[Report]) -> Books:
        """These sums and those of the living."""
        whole = Books()
        whole.outcomes = self.outcomes.copy()
        whole.durations = self.durations.copy()
        whole.stale, whole.evicted = self.stale, self.evicted
        for report in reports:
            whole.add(report)
        return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that is to be exported, at one moment.

    Attributes:
        processes: how many there are by state.
        memory: resident bytes by number of the process.
        restarts: how many by reason.
        queues: None: Redis does not answer.
    """

    books: Books
    wanted: int
    processes: dict[str, int]
    busy: int
    idle: int
    memory: dict[str, int]
    restarts: dict[str, int]
    recovered: int
    queues: Sequence[QueueFigures] | None


def exposition(snapshot: Snapshot) -> bytes:
    """The snapshot in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collector(snapshot))
    return generate_latest(registry)


class _Collector:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Family]:
        now = self._snapshot
        books = now.books
        yield _family(Metric.JOBS_ENDED, books.outcomes)
        yield _durations(books.durations)
        yield _family(Metric.PROCESSES, {(state,): count for state, count in now.processes.items()})
        yield _family(Metric.PROCESSES_WANTED, {(): now.wanted})
        yield _family(Metric.THREADS, {("busy",): now.busy, ("idle",): now.idle})
        yield _family(Metric.MEMORY, {(number,): size for number, size in now.memory.items()})
        yield _family(Metric.RESTARTS, {(reason,): count for reason, count in now.restarts.items()})
        yield _family(Metric.RECOVERED, {(): now.recovered})
        yield _family(Metric.STALE, {(): books.stale})
        yield _family(Metric.EVICTED, {(): books.evicted})
        yield _family(Metric.REDIS_UP, {(): int(now.queues is not None)})
        if now.queues is None:
            return
        jobs = {
            (one.queue, state): getattr(one, state)
            for one in now.queues
            for state in ("waiting", "parked", "delayed", "active", "dead")
        }
        yield _family(Metric.QUEUE_JOBS, jobs)
        yield _family(Metric.QUEUE_OLDEST, {(one.queue,): one.oldest or 0.0 for one in now.queues})
        open_now = {(one.queue, name): int(is_open) for one in now.queues for name, is_open in one.breakers.items()}
        yield _family(Metric.BREAKER_OPEN, open_now)
        yield _family(Metric.LOST, {(one.queue,): one.lost for one in now.queues})


def _family(metric: Metric, values: Mapping[Any, float]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.exported, metric.meaning, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _durations(durations: dict[tuple[str, str], list[float]]) -> Family:
    metric = Metric.JOB_DURATION
    family = HistogramMetricFamily(metric.exported, metric.meaning, labels=metric.labels)
    for labels, (*counts, seconds) in durations.items():
        total = 0.0
        buckets = []
        for edge, count in zip(_EDGES, counts, strict=True):
            total += count
            buckets.append((edge, total))
        family.add_metric(labels, buckets, seconds)
    return family
