"""What commands say of jobs, queues and workers: as plain values for programs, and in words for people. Pure."""

from __future__ import annotations

import time
from typing import Any, Final, Literal

from jobyard.broker.explain import Explanation
from jobyard.broker.inspector import Job, QueueStats
from jobyard.broker.job_logs import LogLine
from jobyard.broker.workers import WorkerInfo
from jobyard.cli.durations import say_duration
from jobyard.cli.harmless import harmless, json_text
from jobyard.presentation import STATUS, iso, moment_of, plain, result_of

_LONGEST: Final = 120


def job_values(job: Job) -> dict[str, Any]:
    """Everything about a job, as `-o json` shows it. Times are ISO 8601 in UTC."""
    result, note = result_of(job)
    progress = job.progress or {}
    values = {
        "job_id": job.id,
        "queue": job.queue,
        "actor": job.actor,
        "state": STATUS[job.state],
        "args": job.args,
        "kwargs": job.kwargs,
        "options": job.options,
        "priority": job.priority,
        "attempts": job.attempts,
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "due_at": iso(job.due_at),
        "ended_at": iso(job.ended_at),
        "position": job.position,
        "worker": job.worker,
        "cancelling": job.cancelling,
        "progress": progress or None,
        "result": result,
        "result_note": note,
        "errors": [
            {**error, "started_at": iso(error.get("started_at")), "ended_at": iso(error.get("ended_at"))}
            for error in job.errors
        ],
    }
    return {name: plain(value) for name, value in values.items()}


def state_of(stats: QueueStats) -> Literal["held", "paused", "running"]:
    """Whether jobs of a queue start, in one word."""
    if stats.held is not None:
        return "held"
    return "paused" if stats.policy.paused else "running"


def queue_values(stats: QueueStats) -> dict[str, Any]:
    """The ledger of a queue."""
    counts = ("accepted", "started", "retried", "recovered", "discarded", "evicted", "revived")
    return {
        "name": stats.queue,
        "paused": bool(stats.policy.paused),
        "held": stats.held,
        "waiting": stats.waiting,
        "delayed": stats.delayed,
        "parked": stats.parked,
        "active": stats.active,
        "failed": stats.dead,
        "completed": stats.completed,
        "cancelled": stats.cancelled,
        **{name: stats.counts.get(name, 0) for name in counts},
        # Every dead letter that was ever made; `failed` are those that are there now.
        "died": stats.counts.get("failed", 0),
        "kept_completed": stats.kept_completed,
        "kept_cancelled": stats.kept_cancelled,
        "oldest_seconds": None if stats.oldest_at is None else max(0.0, (stats.now - stats.oldest_at) / 1000),
        "next_due_at": iso(stats.next_due),
        "lost": stats.lost,
        "orphaned": stats.orphaned,
    }


def worker_values(worker: WorkerInfo) -> dict[str, Any]:
    """A worker process."""
    values = {
        "token": worker.token,
        "name": worker.name,
        "pod": worker.pod,
        "state": worker.state,
        "threads": worker.threads,
        "queues": worker.queues,
        "actors": worker.actors,
        "running": worker.running,
        "completed": worker.completed,
        "failed": worker.failed,
        "started_at": iso(worker.started_at),
        "seen_at": iso(worker.seen_at),
        "version": worker.version,
    }
    return {name: plain(value) for name, value in values.items()}


def explanation_values(found: Explanation) -> dict[str, Any]:
    """Why a job is where it is. Times among the facts stay in milliseconds since 1970."""
    return {
        "job_id": found.job_id,
        "queue": found.queue,
        "state": None if found.state is None else STATUS[found.state],
        "reason": str(found.reason),
        "sentence": plain(found.sentence),
        "since": iso(found.since),
        "advice": plain(found.advice),
        "facts": plain(found.facts),
    }


def log_values(line: LogLine) -> dict[str, Any]:
    """One line of a job's log."""
    return {
        "at": iso(line.at),
        "attempt": line.attempt,
        "level": line.level,
        "logger": plain(line.logger),
        "message": plain(line.message),
    }


def log_line(line: LogLine) -> str:
    """The same for people: `07:31:31.021 #1 warning  shop.mail: no such user`."""
    at = moment_of(line.at)
    clock = "" if at is None else f"{at:%H:%M:%S}.{at.microsecond // 1000:03} "
    logger = "" if line.logger == "jobyard.log" else f"{line.logger}: "
    return clock + harmless(f"#{line.attempt} {line.level:<8} {logger}{line.message}", lines=True)


def arguments_of(job: Job) -> str:
    """The arguments in one short line."""
    parts = [json_text(plain(value)) for value in job.args[:20]]
    parts += [f"{name}={json_text(plain(value))}" for name, value in list(job.kwargs.items())[:20]]
    return short(", ".join(parts))


def last_error(job: Job) -> str | None:
    """Type and message of the last failed attempt, in one line."""
    if not job.errors:
        return None
    last = job.errors[-1]
    return short(f"{last.get('error', '')}: {last.get('message', '')}")


def when(milliseconds: Any, now: float | None = None) -> str | None:
    """A time for people: how long ago, or in how long. `now` is in seconds, by default the clock's."""
    if moment_of(milliseconds) is None:
        return None
    distance = (time.time() if now is None else now) * 1000 - milliseconds
    if abs(distance) < 1000:
        return "now"
    return f"{say_duration(distance)} ago" if distance > 0 else f"in {say_duration(-distance)}"


def moment_and_when(milliseconds: Any) -> str | None:
    """Both, for where there is room: `2026-11-24 07:31:31 UTC (5m ago)`."""
    moment = moment_of(milliseconds)
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC ({when(milliseconds)})"


def short(text: str) -> str:
    """One line of at most 120 characters."""
    line = " ".join(text[: 4 * _LONGEST].split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
