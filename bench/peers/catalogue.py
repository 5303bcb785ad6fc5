"""Which systems run, with which settings, and what they promise with these settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

#: The measurements; a variant takes part in all of them unless it says otherwise.
ALL: Final = frozenset({"noop", "nap", "latency", "crash"})
NAP: Final = frozenset({"nap"})


@dataclass(frozen=True, slots=True)
class Variant:
    """One system with one group of settings.

    Attributes:
        system: the adapter, `systems/SYSTEM.py`.
        name: of the settings.
        workers: commands that start the workers.
        promises: what holds for a job with these settings.
        venv: the environment under .cache/bench-peers; None: this project's own.
        interpreter: what the producer runs under.
        processes: how many will wait at the gate.
        bulk: whether many jobs can be sent at a time.
        tuned: tells the adapter to take its best settings.
        jobs, naps: how many to drain, so that it takes a few seconds.
        measurements: those it takes part in.
    """

    system: str
    name: str
    workers: tuple[tuple[str, ...], ...]
    promises: str
    venv: str | None = "common"
    interpreter: str = "python"
    processes: int = 2
    bulk: bool = False
    tuned: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 10_000
    naps: int = 5_000
    measurements: frozenset[str] = ALL

    def __str__(self) -> str:
        return f"{self.system}, {self.name}"


def _jobyard(threads: int, jobs: int, naps: int, measurements: frozenset[str] = ALL) -> Variant:
    command = (
        "jobyard",
        "worker",
        "systems.jobyard",
        "--queues",
        "bench",
        "--processes",
        "2",
        "--threads",
        str(threads),
    )
    return Variant(
        "jobyard",
        f"2 processes × {threads} thread{'s' * (threads > 1)}",
        (command,),
        "acknowledged after the run; leases of 15 s; status, attempts and results kept; retries; dead letters; ledger",
        venv=None,
        bulk=True,
        jobs=jobs,
        naps=naps,
        measurements=measurements,
    )


def _dramatiq(
    name: str, threads: int, prefetch: int, jobs: int, naps: int, measurements: frozenset[str] = ALL
) -> Variant:
    return Variant(
        "dramatiq",
        name,
        (("dramatiq", "systems.dramatiq", "--processes", "2", "--threads", str(threads)),),
        "acknowledged after the run; a dead worker's jobs come back by chance, after a minute at least; retries; no results",
        environment={"dramatiq_queue_prefetch": str(prefetch)} if prefetch else {},
        jobs=jobs,
        naps=naps,
        measurements=measurements,
    )


_CELERY = ("celery", "-A", "systems.celery", "worker", "--loglevel", "WARNING")
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
_CELERY_PROMISES = "acknowledged {}; no results; no retries unless asked for"
_LATE = "after the run (`acks_late`), and back after an hour"
_ARQ = "acknowledged after the run; comes back 5 min later; 5 tries; results kept for an hour"
_SAQ = "acknowledged after the run; {}; results kept for 10 min"
_TASKIQ_WORKER: Final = ("taskiq", "worker", "systems.taskiq:broker", "--workers", "2", "--log-level", "WARNING")
_TASKIQ = (
    "acknowledged after the run; back after 10 min, if there are new jobs; no results, no retries unless asked for"
)
_HUEY = "at most once: taken off the queue before the run; results kept unless None; no retries unless asked for"
_BULLMQ = "acknowledged after the run; locks of 30 s; jobs and results kept {}; no retries unless asked for"


def _bullmq(concurrency: int, processes: int, jobs: int, naps: int, *, tuned: bool) -> Variant:
    return Variant(
        "bullmq",
        f"{processes} process{'es' * (processes > 1)} × concurrency {concurrency}",
        (("node", "systems/bullmq.js", "work", str(concurrency)),) * processes,
        _BULLMQ.format("for the last 1,000" if tuned else "for ever"),
        interpreter="node",
        processes=processes,
        bulk=True,
        tuned=tuned,
        jobs=jobs,
        naps=naps,
    )


VARIANTS: Final = (
    _jobyard(1, 100_000, 1_000),
    _jobyard(8, 60_000, 6_000),
    _jobyard(50, 0, 20_000, NAP),
    _dramatiq("default (2 × 8 threads)", 8, 0, 10_000, 6_000),
    _dramatiq("tuned (2 × 2 threads, prefetch 100)", 2, 100, 15_000, 1_500),
    _dramatiq("2 × 50 threads, prefetch 200", 50, 200, 0, 10_000, NAP),
    Variant(
        "celery",
        "default (prefork, 2 processes)",
        ((*_CELERY, "-c", "2"),),
        _CELERY_PROMISES.format(
            "before the run: what runs is lost with the worker, what it had fetched is back after an hour"
        ),
        jobs=3_000,
        naps=1_000,
    ),
    Variant(
        "celery",
        "tuned (2 × solo, prefetch 32, acks_late)",
        tuple((*_CELERY, "-P", "solo", "-n", f"{number}@bench", *_QUIET) for number in (1, 2)),
        _CELERY_PROMISES.format(_LATE),
        tuned=True,
        jobs=5_000,
        naps=1_000,
    ),
    Variant(
        "celery",
        "2 × 50 threads, prefetch 32, acks_late",
        tuple((*_CELERY, "-P", "threads", "-c", "50", "-n", f"{number}@bench", *_QUIET) for number in (1, 2)),
        _CELERY_PROMISES.format(_LATE),
        tuned=True,
        naps=4_000,
        measurements=NAP,
    ),
    Variant(
        "rq",
        "default (a fork for each job)",
        (("rq", "worker", "bench", "--quiet", "--url", "redis://127.0.0.1:{port}/0"),) * 2,
        "acknowledged after the run; a dead worker's job ends as failed; results kept for 500 s",
        bulk=True,
        jobs=150,
        naps=150,
    ),
    Variant(
        "rq",
        "tuned (2 × SimpleWorker, Retry(3))",
        (("rq", "worker", "bench", "--quiet", "--url", "redis://127.0.0.1:{port}/0", "-w", "rq.worker.SimpleWorker"),)
        * 2,
        "acknowledged after the run; a dead worker's job is found after 10 min; 3 tries; results kept for 500 s",
        bulk=True,
        tuned=True,
        jobs=1_000,
        naps=800,
    ),
    Variant(
        "arq",
        "default (2 × 10 jobs)",
        (("arq", "systems.arq.WorkerSettings"),) * 2,
        _ARQ,
        venv="arq",
        bulk=True,
        jobs=600,
        naps=600,
    ),
    Variant(
        "arq",
        "tuned (2 × 100 jobs, polls every 10 ms)",
        (("arq", "systems.arq.WorkerSettings"),) * 2,
        _ARQ,
        venv="arq",
        bulk=True,
        tuned=True,
        jobs=3_000,
        naps=3_000,
    ),
    Variant(
        "saq",
        "default (2 × 10 jobs)",
        (("saq", "systems.saq.settings"),) * 2,
        _SAQ.format("a dead worker's jobs are given up"),
        venv="saq",
        bulk=True,
        jobs=4_000,
        naps=4_000,
    ),
    Variant(
        "saq",
        "tuned (2 × 100 jobs, 3 tries)",
        (("saq", "systems.saq.settings"),) * 2,
        _SAQ.format("a dead worker's jobs are looked for each minute; 3 tries"),
        venv="saq",
        bulk=True,
        tuned=True,
        jobs=5_000,
        naps=5_000,
    ),
    Variant(
        "taskiq",
        "default (streams, 2 × 100 jobs)",
        (_TASKIQ_WORKER,),
        _TASKIQ,
        bulk=True,
        jobs=10_000,
        naps=8_000,
    ),
    Variant(
        "taskiq",
        "tuned (prefetch 100, no parsing, maxlen)",
        ((*_TASKIQ_WORKER, "--max-prefetch", "100", "--no-parse"),),
        _TASKIQ,
        bulk=True,
        tuned=True,
        jobs=10_000,
        naps=8_000,
    ),
    Variant(
        "huey",
        "default (2 × 1 thread)",
        (("huey_consumer", "systems.huey.huey", "--quiet"),) * 2,
        _HUEY,
        jobs=8_000,
        naps=800,
    ),
    Variant(
        "huey",
        "tuned (2 × 4 threads)",
        (("huey_consumer", "systems.huey.huey", "--quiet", "-w", "4"),) * 2,
        _HUEY,
        jobs=10_000,
        naps=3_000,
    ),
    Variant(
        "huey",
        "2 × 50 threads",
        (("huey_consumer", "systems.huey.huey", "--quiet", "-w", "50"),) * 2,
        _HUEY,
        measurements=NAP,
    ),
    _bullmq(1, 2, 10_000, 1_000, tuned=False),
    _bullmq(100, 1, 40_000, 20_000, tuned=True),
    _bullmq(100, 2, 40_000, 20_000, tuned=True),
)
