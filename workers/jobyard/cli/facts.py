"""What commands say of jobs, queues and workers: as plain values for programs, and in words for people. Pure."""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from jobyard.broker.inspector import Job, QueueStats
from jobyard.broker.workers import WorkerInfo
from jobyard.cli.durations import say_duration
from jobyard.cli.harmless import json_text

_LONGEST: Final = 120
_DEEPEST: Final = 50


def job_values(job: Job) -> dict[str, Any]:
    """Everything about a job, as `-o json` shows it. Times are ISO 8601 in UTC."""
    result, note = result_of(job)
    progress = job.progress or {}
    values = {
        "job_id": job.id,
        "queue": job.queue,
        "actor": job.actor,
        "state": job.state,
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


def queue_values(stats: QueueStats) -> dict[str, Any]:
    """The ledger of a queue."""
    counts = ("accepted", "started", "failed", "retried", "recovered", "discarded", "evicted", "revived")
    return {
        "name": stats.queue,
        "paused": bool(stats.policy.paused),
        "waiting": stats.waiting,
        "delayed": stats.delayed,
        "parked": stats.parked,
        "active": stats.active,
        "dead": stats.dead,
        "completed": stats.completed,
        "cancelled": stats.cancelled,
        **{name: stats.counts.get(name, 0) for name in counts},
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


def result_of(job: Job) -> tuple[Any, str | None]:
    """What the actor returned, or why that can't be shown."""
    if job.encoded_result is None:
        return None, None
    try:
        return msgspec.json.decode(job.encoded_result), None
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return json.loads(job.encoded_result), None  # NaN and huge integers.
    except (ValueError, RecursionError):
        return None, f"{len(job.encoded_result)} bytes that are not JSON: the application has an encoder of its own"


def iso(milliseconds: Any) -> str | None:
    """A UNIX time in ISO 8601; None for what can't be one: clients set some of them."""
    moment = _moment(milliseconds)
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def when(milliseconds: Any, now: float | None = None) -> str | None:
    """A time for people: how long ago, or in how long. `now` is in seconds, by default the clock's."""
    if _moment(milliseconds) is None:
        return None
    distance = (time.time() if now is None else now) * 1000 - milliseconds
    if abs(distance) < 1000:
        return "now"
    return f"{say_duration(distance)} ago" if distance > 0 else f"in {say_duration(-distance)}"


def moment_and_when(milliseconds: Any) -> str | None:
    """Both, for where there is room: `2026-11-24 07:31:31 UTC (5m ago)`."""
    moment = _moment(milliseconds)
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC ({when(milliseconds)})"


def plain(value: Any, depth: int = 0) -> Any:
    """What JSON can carry, as near as possible: arguments are whatever an encoder could make of them."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        # Half a surrogate pair is a str, but no text.
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {plain(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    return plain(repr(value))


def short(text: str) -> str:
    """One line of at most 120 characters."""
    line = " ".join(text[: 4 * _LONGEST].split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _moment(milliseconds: Any) -> datetime | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float) or not milliseconds:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
