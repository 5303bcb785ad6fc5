"""What the operator tells Prometheus: each queue's numbers and decisions, how it does itself. See docs/operator/running.md."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from jobyard_operator.core.observation import Decision, Observation
from jobyard_operator.core.reasons import Reason
from jobyard_operator.kubernetes.cache import Key

_QUEUE: Final = ("jobqueue_namespace", "jobqueue")
_STEPS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LATENCIES: Final = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120)


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()

        def gauge(name: str, about: str, labels: tuple[str, ...] = _QUEUE) -> Gauge:
            return Gauge(f"jobyard_{name}", about, labels, registry=registry)

        self.jobs = gauge("queue_jobs", "Jobs by state, as the operator saw them last", (*_QUEUE, "state"))
        self.oldest = gauge("queue_oldest_seconds", "For how long the first waiting job has waited")
        self.arrivals = gauge("queue_arrival_rate", "Jobs a second that arrive, averaged")
        self.service = gauge("queue_service_seconds", "Time that a run takes, averaged")
        self.desired = gauge("queue_desired_replicas", "Replicas that the autoscaler wants")
        self.replicas = gauge("queue_replicas", "Replicas by what they do", (*_QUEUE, "state"))
        self.needed = gauge("queue_needed_replicas", "Replicas needed at this moment, before windows and steps down")
        self.target = gauge("queue_target_wait_seconds", "The aim: jobs start within this time")
        self.cold_start = gauge("queue_cold_start_seconds", "From the creation of a pod until it serves")
        self.reason = gauge("queue_decision", "1 for the reason of the last decision", (*_QUEUE, "reason"))
        self.held = gauge("queue_held", "1 while the operator holds the queue, since its pods crash")
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
        self.requests = Counter(
            "jobyard_operator_api_requests", "Requests to the API server", ("method", "resource"), registry=registry
        )
        self.scalings = Counter(
            "jobyard_queue_scalings", "Changes of the number of replicas", (*_QUEUE, "direction"), registry=registry
        )
        self.fenced_jobs = Counter(
            "jobyard_queue_fenced_jobs", "Jobs that ran again at once, since their pod was gone", (*_QUEUE, "cause"),
            registry=registry,
        )  # fmt: skip

    def decided(self, key: Key, target: float, observation: Observation, decision: Decision) -> None:
        """One decision."""
        labels = (key.namespace, key.name)
        if observation.error is None:
            for state in ("waiting", "active", "orphaned", "parked", "delayed"):
                self.jobs.labels(*labels, state).set(getattr(observation, state))
            self.oldest.labels(*labels).set(observation.oldest)
        memory = decision.memory
        self.arrivals.labels(*labels).set(max(memory.fast, memory.slow))
        if memory.service is not None:
            self.service.labels(*labels).set(memory.service)
        if observation.cold_start is not None:
            self.cold_start.labels(*labels).set(observation.cold_start)
        self.target.labels(*labels).set(target)
        if decision.desired is not None:
            self.desired.labels(*labels).set(decision.desired)
        self.needed.labels(*labels).set(decision.inputs.get("needed", decision.desired or 0))
        for state, count in (
            ("wanted", observation.replicas),
            ("ready", observation.ready),
            ("starting", observation.starting),
            ("terminating", observation.terminating),
        ):
            self.replicas.labels(*labels, state).set(count)
        for reason in Reason:
            self.reason.labels(*labels, reason.value).set(reason is decision.reason)

    def forget(self, key: Key) -> None:
        """A JobQueue is gone."""
        labels = {"jobqueue_namespace": key.namespace, "jobqueue": key.name}
        for metric in vars(self).values():
            if isinstance(metric, Gauge | Counter) and set(_QUEUE) <= set(metric._labelnames):
                metric.remove_by_labels(labels)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
