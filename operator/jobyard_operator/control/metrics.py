"""What the operator tells Prometheus: the numbers of queues and schedules, and how it does itself. docs/operator/running.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from jobyard_operator.core.observation import Decision, Observation
from jobyard_operator.core.reasons import Reason
from jobyard_operator.kubernetes.cache import Key
from jobyard_operator.resources.jobschedule import Counters, JobScheduleStatus

_QUEUE: Final = ("jobqueue_namespace", "jobqueue")
_SCHEDULE: Final = ("jobschedule_namespace", "jobschedule")
_STEPS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LATENCIES: Final = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120)


@dataclass(slots=True)
class _Last:
    """What was seen and decided last of a queue. For thousands of queues, series are made of it when somebody asks."""

    target: float
    observation: Observation
    decision: Decision
    held: bool
    needed: float | None


class Metrics:
    """All of them, in a registry of their own.

    Args:
        requests: to the API server, by method and resource; counted elsewhere.
    """

    def __init__(self, requests: Mapping[tuple[str, str], int]) -> None:
        registry = self.registry = CollectorRegistry()
        self._queues: dict[Key, _Last] = {}
        self._schedules: dict[Key, JobScheduleStatus] = {}
        registry.register(_Queues(self._queues))
        registry.register(_Schedules(self._schedules))
        registry.register(_Requests(requests))
        self.leads = Gauge("jobyard_operator_leads", "1 while this process leads", registry=registry)
        self.epoch = Gauge("jobyard_operator_epoch", "The leader's epoch", registry=registry)
        self.watched = Gauge("jobyard_operator_jobqueues", "JobQueues that are watched", registry=registry)
        self.listed = Gauge("jobyard_operator_list_age_seconds", "Since everything was listed last", registry=registry)
        self.steps = Histogram(
            "jobyard_operator_step_seconds", "Time of one step of a JobQueue", buckets=_STEPS, registry=registry
        )
        self.lag = Histogram(
            "jobyard_operator_lag_seconds", "By how much a step came later than planned", buckets=_LATENCIES,
            registry=registry,
        )  # fmt: skip
        self.failed_steps = Counter(
            "jobyard_operator_failed_steps", "Steps that could not be finished", ("cause",), registry=registry
        )
        self.scalings = Counter(
            "jobyard_queue_scalings", "Changes of the number of replicas", (*_QUEUE, "direction"), registry=registry
        )
        self.fenced_jobs = Counter(
            "jobyard_queue_fenced_jobs", "Jobs that ran again at once, since their pod was gone", (*_QUEUE, "cause"),
            registry=registry,
        )  # fmt: skip

    def decided(self, key: Key, target: float, observation: Observation, decision: Decision, held: bool) -> None:
        """One decision.

        Args:
            target: the aim, `targetWaitSeconds`.
            held: the operator holds the queue.
        """
        needed = decision.inputs.get("needed")
        if needed is None:
            # While Redis is away, what was needed last stands there: whoever scales by it removes nothing.
            before = self._queues.get(key)
            needed = before.needed if before is not None else decision.desired
        self._queues[key] = _Last(target, observation, decision, held, needed)

    def forget(self, key: Key) -> None:
        """A JobQueue is gone."""
        self._queues.pop(key, None)
        labels = {"jobqueue_namespace": key.namespace, "jobqueue": key.name}
        for counter in (self.scalings, self.fenced_jobs):
            counter.remove_by_labels(labels)

    def scheduled(self, key: Key, status: JobScheduleStatus) -> None:
        """What was written of a JobSchedule."""
        self._schedules[key] = status

    def forget_schedule(self, key: Key) -> None:
        """A JobSchedule is gone."""
        self._schedules.pop(key, None)

    def forget_decisions(self) -> None:
        """This process leads no more: whoever does tells of queues and schedules, and nobody else."""
        self._queues.clear()
        self._schedules.clear()

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


#: One value a queue; None: not known.
_VALUES: Final[tuple[tuple[str, str, Callable[[_Last], float | None]], ...]] = (
    ("oldest_seconds", "For how long the first waiting job has waited", lambda last: last.observation.oldest),
    ("target_wait_seconds", "The aim: jobs start within this time", lambda last: last.target),
    (
        "arrival_rate",
        "Jobs a second that arrive, averaged",
        lambda last: max(last.decision.memory.fast, last.decision.memory.slow),
    ),
    ("service_seconds", "Time that a run takes, averaged", lambda last: last.decision.memory.service),
    ("cold_start_seconds", "From the creation of a pod until it serves", lambda last: last.observation.cold_start),
    ("desired_replicas", "Replicas that the autoscaler wants", lambda last: last.decision.desired),
    (
        "needed_replicas",
        "Replicas needed at this moment, before windows and steps down",
        lambda last: last.needed,
    ),
    ("held", "1 while the operator holds the queue, since its pods crash", lambda last: float(last.held)),
)
_STATES: Final = ("waiting", "active", "orphaned", "parked", "delayed", "dead")
_PODS: Final = (("wanted", "replicas"), ("ready", "ready"), ("starting", "starting"), ("terminating", "terminating"))
#: One value a schedule; None: there was, or will be, none.
_OF_SCHEDULES: Final[tuple[tuple[str, str, Callable[[JobScheduleStatus], float | None]], ...]] = (
    (
        "next_tick_timestamp_seconds",
        "Nominal time of the next tick",
        lambda status: _unix(status.next_schedule_times[0] if status.next_schedule_times else None),
    ),
    (
        "last_tick_timestamp_seconds",
        "Nominal time of the last tick that has fired",
        lambda status: _unix(status.last_schedule_time),
    ),
    (
        "last_success_timestamp_seconds",
        "When a run completed last",
        lambda status: _unix(status.last_successful_time),
    ),
    ("active_runs", "Runs that have not ended", lambda status: status.active_runs),
)


class _Requests(Collector):
    """Requests to the API server."""

    def __init__(self, requests: Mapping[tuple[str, str], int]) -> None:
        self._requests = requests

    def collect(self) -> Iterator[Any]:
        family = CounterMetricFamily(
            "jobyard_operator_api_requests", "Requests to the API server", labels=("method", "resource")
        )
        for labels, count in list(self._requests.items()):
            family.add_metric(labels, count)
        yield family


class _Queues(Collector):
    """The series of all queues."""

    def __init__(self, queues: dict[Key, _Last]) -> None:
        self._queues = queues

    def collect(self) -> Iterator[Any]:
        everything = [((key.namespace, key.name), last) for key, last in self._queues.items()]
        for name, about, value in _VALUES:
            family = GaugeMetricFamily(f"jobyard_queue_{name}", about, labels=_QUEUE)
            for labels, last in everything:
                found = value(last)
                if found is not None:
                    family.add_metric(labels, found)
            yield family
        jobs = GaugeMetricFamily("jobyard_queue_jobs", "Jobs by state, as seen last", labels=(*_QUEUE, "state"))
        pods = GaugeMetricFamily("jobyard_queue_replicas", "Replicas by what they do", labels=(*_QUEUE, "state"))
        reasons = GaugeMetricFamily(
            "jobyard_queue_decision", "1 for the reason of the last decision", labels=(*_QUEUE, "reason")
        )
        for labels, last in everything:
            if last.observation.error is None:
                for state in _STATES:
                    jobs.add_metric((*labels, state), getattr(last.observation, state))
            for state, field in _PODS:
                pods.add_metric((*labels, state), getattr(last.observation, field))
            for reason in Reason:
                reasons.add_metric((*labels, reason.value), float(reason is last.decision.reason))
        yield from (jobs, pods, reasons)


class _Schedules(Collector):
    """The series of all schedules. They are the numbers of the status, which a new leader goes on with."""

    def __init__(self, schedules: dict[Key, JobScheduleStatus]) -> None:
        self._schedules = schedules

    def collect(self) -> Iterator[Any]:
        everything = [((key.namespace, key.name), status) for key, status in self._schedules.items()]
        for name, about, value in _OF_SCHEDULES:
            family = GaugeMetricFamily(f"jobyard_schedule_{name}", about, labels=_SCHEDULE)
            for labels, status in everything:
                found = value(status)
                if found is not None:
                    family.add_metric(labels, found)
            yield family
        for name, field in Counters.model_fields.items():
            counter = CounterMetricFamily(f"jobyard_schedule_{name}", field.description or "", labels=_SCHEDULE)
            for labels, status in everything:
                counter.add_metric(labels, getattr(status.counters, name))
            yield counter


def _unix(time: str | None) -> float | None:
    """A time as Kubernetes writes it, in seconds since 1970."""
    return None if time is None else datetime.fromisoformat(time).timestamp()
