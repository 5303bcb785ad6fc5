"""From what the broker knows of a job or queue to what the API says of it. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from jobyard.broker.inspector import Job as KnownJob
from jobyard.broker.inspector import QueueStats
from jobyard.broker.states import State
from jobyard.broker.workers import WorkerInfo
from jobyard.web import models

#: The broker's word for a state → the API's.
STATUS: Final[dict[State, models.Status]] = {
    "waiting": "waiting",
    "parked": "parked",
    "delayed": "delayed",
    "active": "active",
    "completed": "completed",
    "dead": "failed",
    "cancelled": "cancelled",
}

_LONGEST_SUMMARY: Final = 200
_DEEPEST: Final = 50


def job(known: KnownJob) -> models.Job:
    """Everything about a job."""
    progress = known.progress or {}
    result, note = _result(known.encoded_result)
    return models.Job(
        job_id=plain(known.id),
        status=STATUS[known.state],
        progress=_percent(known),
        result=result,
        attempts=known.attempts,
        created_at=time_of(known.created_at),
        completed_at=time_of(known.ended_at) if known.state == "completed" else None,
        queue=known.queue,
        actor=plain(known.actor),
        args=plain(known.args),
        kwargs=plain(known.kwargs),
        options=plain(known.options),
        priority=known.priority,
        started_at=time_of(known.started_at),
        due_at=time_of(known.due_at),
        ended_at=time_of(known.ended_at),
        position=known.position,
        worker=known.worker,
        cancelling=known.cancelling,
        progress_message=plain(str(progress.get("message", ""))),
        progress_counts=plain(progress.get("counts") or {}),
        result_note=note,
        errors=[attempt(error) for error in known.errors],
    )


def summary(known: KnownJob) -> models.JobSummary:
    """A job for a list."""
    last = known.errors[-1] if known.errors else None
    return models.JobSummary(
        job_id=plain(known.id),
        queue=known.queue,
        actor=plain(known.actor),
        status=STATUS[known.state],
        priority=known.priority,
        progress=_percent(known),
        attempts=known.attempts,
        created_at=time_of(known.created_at),
        started_at=time_of(known.started_at),
        due_at=time_of(known.due_at),
        completed_at=time_of(known.ended_at) if known.state == "completed" else None,
        ended_at=time_of(known.ended_at),
        cancelling=known.cancelling,
        arguments=_in_short(known.args, known.kwargs),
        error=_cut(f"{last.get('error', '')}: {last.get('message', '')}") if last is not None else None,
    )


def attempt(error: dict[str, Any]) -> models.Attempt:
    """One failed attempt."""
    worker = error.get("worker")
    return models.Attempt(
        attempt=int(error.get("attempt", 0)),
        started_at=time_of(error.get("started_at")),
        ended_at=time_of(error.get("ended_at")),
        error=plain(str(error.get("error", ""))),
        message=plain(str(error.get("message", ""))),
        traceback=plain(str(error.get("traceback", ""))),
        worker=None if worker is None else plain(str(worker)),
    )


def queue(stats: QueueStats) -> models.Queue:
    """A queue's ledger."""
    count = stats.counts.get
    return models.Queue(
        name=stats.queue,
        paused=bool(stats.policy.paused),
        waiting=stats.waiting,
        parked=stats.parked,
        active=stats.active,
        delayed=stats.delayed,
        failed=stats.dead,
        completed=stats.completed,
        cancelled=stats.cancelled,
        accepted=count("accepted", 0),
        retried=count("retried", 0),
        recovered=count("recovered", 0),
        discarded=count("discarded", 0),
        evicted=count("evicted", 0),
        kept_completed=stats.kept_completed,
        kept_cancelled=stats.kept_cancelled,
        oldest_seconds=None if stats.oldest_at is None else max(0.0, (stats.now - stats.oldest_at) / 1000),
        next_due_at=time_of(stats.next_due),
        lost=stats.lost,
    )


def worker(known: WorkerInfo) -> models.Worker:
    """A worker process."""
    return models.Worker(
        token=known.token,
        name=plain(known.name),
        pod=known.pod,
        state=known.state,
        queues=known.queues,
        actors=plain(known.actors),
        threads=known.threads,
        running=plain(known.running),
        completed=known.completed,
        failed=known.failed,
        started_at=time_of(known.started_at),
        seen_at=time_of(known.seen_at),
        version=plain(known.version),
    )


def worker_counts(known: list[WorkerInfo]) -> models.WorkerCounts:
    """How many there are, by what they do."""
    states = Counter(one.state for one in known)
    return models.WorkerCounts(
        total=len(known), active=states["active"], idle=states["idle"], draining=states["draining"]
    )


def totals(queues: list[models.Queue]) -> models.Stats:
    """The numbers over all queues."""
    return models.Stats(
        waiting=sum(one.waiting + one.parked for one in queues),
        active=sum(one.active for one in queues),
        completed=sum(one.completed for one in queues),
        failed=sum(one.failed for one in queues),
        delayed=sum(one.delayed for one in queues),
    )


def time_of(milliseconds: Any) -> str | None:
    """A UNIX time in ISO 8601. None for what can't be a time: clients set some of them."""
    if not isinstance(milliseconds, int | float) or not milliseconds:
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any, depth: int = 0) -> Any:
    """What JSON can carry, as near as possible: jobs' arguments are whatever an encoder could make of them."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        # A lone surrogate is a str, but no text.
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


def _percent(known: KnownJob) -> float:
    if known.state == "completed":
        return 100.0
    percent = (known.progress or {}).get("percent")
    return min(100.0, max(0.0, float(percent))) if isinstance(percent, int | float) else 0.0


def _result(encoded: bytes | None) -> tuple[Any, str | None]:
    if encoded is None:
        return None, None
    try:
        return plain(msgspec.json.decode(encoded)), None
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return plain(json.loads(encoded)), None  # NaN and huge integers.
    except (ValueError, RecursionError):
        return None, f"{len(encoded)} bytes that are not JSON: the application has an encoder of its own"


def _in_short(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    parts = [_word(value) for value in args[:20]]
    parts += [f"{name}={_word(value)}" for name, value in list(kwargs.items())[:20]]
    return _cut(", ".join(parts))


def _word(value: Any) -> str:
    # Long values are cut before they are written out: a list of jobs must not cost what their arguments weigh.
    if isinstance(value, str):
        value = value[:_LONGEST_SUMMARY]
    elif isinstance(value, list | tuple | dict) and len(value) > 20:
        return f"({len(value)} items)"
    return json.dumps(plain(value, _DEEPEST - 3), ensure_ascii=False)


def _cut(text: str) -> str:
    line = " ".join(plain(text[: 2 * _LONGEST_SUMMARY]).split())
    return line if len(line) <= _LONGEST_SUMMARY else line[: _LONGEST_SUMMARY - 1] + "…"
