"""From what the broker knows of a job or queue to what the API says of it. Pure."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from jobyard.broker.batches import BatchFailure, BatchStatus
from jobyard.broker.breakers import Breaker as KnownBreaker
from jobyard.broker.bulk import Outcome
from jobyard.broker.explain import Explanation as KnownExplanation
from jobyard.broker.failures import FailureGroup as KnownGroup
from jobyard.broker.inspector import Job as KnownJob
from jobyard.broker.inspector import QueueStats
from jobyard.broker.job_logs import JobLogs
from jobyard.broker.workers import WorkerInfo
from jobyard.presentation import STATUS, iso, plain, result_of
from jobyard.web import models

_LONGEST_SUMMARY: Final = 200
#: Values in a summary are shown so many levels deep.
_SHALLOW: Final = 47


def job(known: KnownJob) -> models.Job:
    """Everything about a job."""
    progress = known.progress or {}
    result, note = result_of(known)
    return models.Job(
        job_id=plain(known.id),
        status=STATUS[known.state],
        progress=_percent(known),
        result=result,
        attempts=known.attempts,
        created_at=iso(known.created_at),
        completed_at=iso(known.ended_at) if known.state == "completed" else None,
        queue=known.queue,
        actor=plain(known.actor),
        args=plain(known.args),
        kwargs=plain(known.kwargs),
        options=plain(known.options),
        priority=known.priority,
        started_at=iso(known.started_at),
        due_at=iso(known.due_at),
        ended_at=iso(known.ended_at),
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
        created_at=iso(known.created_at),
        started_at=iso(known.started_at),
        due_at=iso(known.due_at),
        completed_at=iso(known.ended_at) if known.state == "completed" else None,
        ended_at=iso(known.ended_at),
        cancelling=known.cancelling,
        arguments=_in_short(known.args, known.kwargs),
        error=_cut(f"{last.get('error', '')}: {last.get('message', '')}") if last is not None else None,
    )


def attempt(error: dict[str, Any]) -> models.Attempt:
    """One failed attempt."""

    def named(what: str) -> str | None:
        return None if error.get(what) is None else plain(str(error[what]))

    return models.Attempt(
        attempt=int(error.get("attempt", 0)),
        started_at=iso(error.get("started_at")),
        ended_at=iso(error.get("ended_at")),
        error=plain(str(error.get("error", ""))),
        message=plain(str(error.get("message", ""))),
        traceback=plain(str(error.get("traceback", ""))),
        worker=named("worker"),
        image=named("image"),
        node=named("node"),
    )


def explanation(found: KnownExplanation) -> models.Explanation:
    """Why a known job is where it is."""
    assert found.queue is not None
    assert found.state is not None
    return models.Explanation(
        job_id=plain(found.job_id),
        queue=found.queue,
        status=STATUS[found.state],
        reason=found.reason.value,
        sentence=plain(found.sentence),
        advice=plain(found.advice),
        since=iso(found.since),
        facts=plain(found.facts),
    )


def logs(known: JobLogs) -> models.Logs:
    """What a job has logged."""
    lines = [
        models.LogLine(
            at=iso(one.at),
            level=plain(one.level),
            logger=plain(one.logger),
            message=plain(one.message),
            attempt=one.attempt,
        )
        for one in known
    ]
    return models.Logs(lines=lines, dropped=known.dropped)


def bulk_outcome(outcome: Outcome, dry_run: bool, limit: int) -> models.BulkOutcome:
    """What was done to many jobs."""
    return models.BulkOutcome(
        dry_run=dry_run,
        matched=outcome.matched,
        changed=outcome.changed,
        more=outcome.matched >= limit,
        sample=plain(outcome.sample),
        by_queue=outcome.by_queue,
    )


def failure_group(known: KnownGroup) -> models.FailureGroup:
    """Failures that are the same."""
    return models.FailureGroup(
        queue=known.queue,
        group=known.fingerprint,
        error=plain(known.error),
        place=plain(known.place),
        template=plain(known.template),
        count=known.count,
        dead=known.dead,
        first_seen=iso(known.first_seen),
        last_seen=iso(known.last_seen),
        image=plain(known.image),
        actors=plain(list(known.actors)),
        sample=plain(known.sample),
    )


def breaker(known: KnownBreaker) -> models.Breaker:
    """A circuit breaker."""
    return models.Breaker(
        dependency=plain(known.dependency),
        state=known.state,
        failures=known.failures,
        held=known.held,
        since=iso(known.since),
        probe_at=iso(known.probe_at),
        probe=plain(known.probe),
    )


def batch(known: BatchStatus) -> models.Batch:
    """How far a batch is."""
    first = known.first_failure
    return models.Batch(
        batch_id=plain(known.id),
        description=plain(known.description),
        tags=plain(list(known.tags)),
        total=known.total,
        pending=known.pending,
        completed=known.completed,
        failed=known.failed,
        cancelled=known.cancelled,
        discarded=known.discarded,
        callbacks={name: iso(at) for name, at in known.callbacks.items()},
        first_failure=None if first is None else _first_failure(first),
        created_at=iso(known.created_at),
        enqueued_at=iso(known.enqueued_at),
        ended_at=iso(known.ended_at),
        cancelled_at=iso(known.cancelled_at),
    )


def _first_failure(known: BatchFailure) -> models.BatchFailure:
    state = "failed" if known.state == "dead" else known.state
    return models.BatchFailure(job_id=plain(known.job_id), queue=known.queue, state=state)


def queue(stats: QueueStats) -> models.Queue:
    """A queue's ledger."""
    count = stats.counts.get
    return models.Queue(
        name=stats.queue,
        paused=bool(stats.policy.paused),
        held=None if stats.held is None else plain(stats.held),
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
        next_due_at=iso(stats.next_due),
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
        started_at=iso(known.started_at),
        seen_at=iso(known.seen_at),
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


def _percent(known: KnownJob) -> float:
    if known.state == "completed":
        return 100.0
    percent = (known.progress or {}).get("percent")
    return min(100.0, max(0.0, float(percent))) if isinstance(percent, int | float) else 0.0


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
    return json.dumps(plain(value, _SHALLOW), ensure_ascii=False)


def _cut(text: str) -> str:
    line = " ".join(plain(text[: 2 * _LONGEST_SUMMARY]).split())
    return line if len(line) <= _LONGEST_SUMMARY else line[: _LONGEST_SUMMARY - 1] + "…"
