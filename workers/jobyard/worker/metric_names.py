"""All metrics of a worker: names, kinds, labels and what they mean. `docs/worker.md` holds the same table."""

from __future__ import annotations

from enum import Enum
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


class Metric(Enum):
    """One metric: its name as it is exported, its kind, its labels and its meaning."""

    JOBS_ENDED = (
        "jobyard_jobs_ended_total", "counter", ("queue", "actor", "outcome"),
        "Runs that ended, by outcome: completed, retry (failed, will be tried again), dead, spent (its attempts killed "
        "their workers), later (asked to run later, attempt not counted), back (interrupted by a shutdown), cancelled",
    )  # fmt: skip
    JOB_DURATION = (
        "jobyard_job_duration_seconds", "histogram", ("queue", "actor"), "How long runs took",
    )  # fmt: skip
    PROCESSES = (
        "jobyard_worker_processes", "gauge", ("state",),
        "Processes of this worker by state: starting, ready, draining",
    )  # fmt: skip
    PROCESSES_WANTED = (
        "jobyard_worker_processes_wanted", "gauge", (), "Processes that shall be ready",
    )  # fmt: skip
    THREADS = (
        "jobyard_worker_threads", "gauge", ("state",), "Threads of ready processes by state: busy, idle",
    )  # fmt: skip
    MEMORY = (
        "jobyard_worker_memory_bytes", "gauge", ("process",), "Resident memory of each process",
    )  # fmt: skip
    RESTARTS = (
        "jobyard_worker_restarts_total", "counter", ("reason",),
        "Processes that were replaced, by reason: crash, failed (could not start), unhealthy, stopped (by a signal from "
        "elsewhere), jobs, memory, reload",
    )  # fmt: skip
    RECOVERED = (
        "jobyard_worker_recovered_jobs_total", "counter", (), "Jobs of dead processes that were handed back or completed",
    )  # fmt: skip
    STALE = (
        "jobyard_jobs_stale_total", "counter", (), "Ends of runs that came too late: the job was no longer this worker's",
    )  # fmt: skip
    EVICTED = (
        "jobyard_dead_letters_evicted_total", "counter", (), "Dead letters that the retention policy removed",
    )  # fmt: skip
    REDIS_UP = (
        "jobyard_redis_up", "gauge", (), "1 if Redis has just answered; otherwise 0, and there are no queue metrics",
    )  # fmt: skip
    QUEUE_JOBS = (
        "jobyard_queue_jobs", "gauge", ("queue", "state"),
        "Jobs of a queue by state: waiting, parked, delayed, active, dead. Every worker tells the same: don't add them up",
    )  # fmt: skip
    QUEUE_OLDEST = (
        "jobyard_queue_oldest_seconds", "gauge", ("queue",),
        "Seconds since the first waiting job was created; 0: none waits",
    )  # fmt: skip
    BREAKER_OPEN = (
        "jobyard_breaker_open", "gauge", ("queue", "dependency"),
        "1 while jobs of a dependency are held since it fails; 0: it has failed of late; absent: it works",
    )  # fmt: skip
    LOST = (
        "jobyard_jobs_lost", "gauge", ("queue",),
        "Accepted jobs of a queue that are nowhere. Anything but 0 is a bug: alert on it",
    )  # fmt: skip

    def __init__(self, exported: str, kind: Kind, labels: tuple[str, ...], meaning: str) -> None:
        self.exported = exported
        self.kind: Kind = kind
        self.labels = labels
        self.meaning = meaning
