"""The shapes of all answers. Times are ISO 8601 in UTC; None where something is not known or does not apply."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from jobyard.broker.policy import QueuePolicy
from jobyard.presentation import Status


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stats(Model):
    """Numbers over all queues. `completed` counts since the queues exist; the others are jobs that are there now.

    Parked jobs are among the waiting ones: they wait for another job of their key.
    """

    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int


class JobSummary(Model):
    """A job in a list.

    Attributes:
        status: `failed` is a dead letter: all its attempts are used up, and it waits for somebody to decide.
        progress: from 0 to 100.
        attempts: how many were started.
        completed_at: when it completed; None if it ended otherwise.
        ended_at: when it completed, became a dead letter or was cancelled.
        arguments: the beginning of its arguments, for people.
        error: type and message of the last failed attempt, in one line.
    """

    job_id: str
    queue: str
    actor: str
    status: Status
    priority: int
    progress: float
    attempts: int
    created_at: str | None
    started_at: str | None
    due_at: str | None
    completed_at: str | None
    ended_at: str | None
    cancelling: bool
    arguments: str
    error: str | None


class Attempt(Model):
    """One failed attempt.

    Attributes:
        worker: pod (or host) and process; only the pod, if it was gone as a whole.
        image: container image of the worker, where it is known.
        node: of the pod, where it was gone as a whole.
    """

    attempt: int
    started_at: str | None
    ended_at: str | None
    error: str
    message: str
    traceback: str
    worker: str | None
    image: str | None
    node: str | None


class Job(Model):
    """Everything about one job; see `JobSummary` for what both have.

    Attributes:
        result: what the actor returned; None also where that is not JSON, which `result_note` says.
        progress_message, progress_counts: of the last report.
        position: how many jobs of the queue stand before it, where it is waiting.
        worker: token of the worker process that runs it.
        errors: its failed attempts, the oldest first.
        options: what Dramatiq and middleware keep with the message.
    """

    job_id: str
    status: Status
    progress: float
    result: Any
    attempts: int
    created_at: str | None
    completed_at: str | None
    queue: str
    actor: str
    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    priority: int
    started_at: str | None
    due_at: str | None
    ended_at: str | None
    position: int | None
    worker: str | None
    cancelling: bool
    progress_message: str
    progress_counts: dict[str, Any]
    result_note: str | None
    errors: list[Attempt]


class JobPage(Model):
    """A page of a list. `next_cursor` leads to the next page; None: this is the last."""

    jobs: list[JobSummary]
    next_cursor: str | None


class Queue(Model):
    """One queue's ledger.

    Attributes:
        paused: its policy says so; jobs are accepted, none is started.
        held: why the operator lets none start either, until that is mended; None: it doesn't.
        waiting, parked, active, delayed, failed: jobs that are there now; `parked` ones wait for another job of their key,
            `failed` are the dead letters.
        completed, cancelled, accepted, retried, recovered, discarded, evicted: since the queue exists. `evicted` are dead
            letters that retention removed, `recovered` jobs whose worker died.
        kept_completed, kept_cancelled: ended jobs that can still be looked up.
        oldest_seconds: how long the next waiting job has been there.
        lost: accepted jobs that are nowhere. Anything but 0 is a bug, or somebody changed keys by hand.
    """

    name: str
    paused: bool
    held: str | None
    waiting: int
    parked: int
    active: int
    delayed: int
    failed: int
    completed: int
    cancelled: int
    accepted: int
    retried: int
    recovered: int
    discarded: int
    evicted: int
    kept_completed: int
    kept_cancelled: int
    oldest_seconds: float | None
    next_due_at: str | None
    lost: int


class Queues(Model):
    queues: list[Queue]


class Worker(Model):
    """One worker process.

    Attributes:
        token: its name in the broker; `worker` of the jobs that it runs.
        name: host or pod, and process id.
        state: `active` where it runs a job, `draining` where it finishes what it runs and then ends, else `idle`.
        threads: how many jobs it can run at the same time.
        running: the ids of the jobs that it runs.
        completed, failed: runs that have ended so since it started; one that is tried again has failed.
        seen_at: when it said all this.
    """

    token: str
    name: str
    pod: str | None
    state: Literal["active", "idle", "draining"]
    queues: list[str]
    actors: list[str]
    threads: int
    running: list[str]
    completed: int
    failed: int
    started_at: str | None
    seen_at: str | None
    version: str


class WorkerCounts(Model):
    """How many worker processes are there, how many of them run a job, and how many wait for one."""

    total: int
    active: int
    idle: int
    draining: int


class Workers(WorkerCounts):
    """All worker processes that are there."""

    workers: list[Worker]


class Enqueued(Model):
    """A job that was enqueued."""

    job_id: str
    queue: str


class Outcome(Model):
    """What became of one of several jobs.

    Attributes:
        outcome: `enqueued`; `known`: there was one with this idempotency key; `duplicate`: another job has its unique key;
            `rate-limited`: the rate of its queue is used up; `refused`: it can't be accepted, `detail` says why.
        job_id, queue: of the job, or of the one that was there already.
        retry_after: seconds after which it may be accepted.
    """

    outcome: Literal["enqueued", "known", "duplicate", "rate-limited", "refused"]
    job_id: str | None = None
    queue: str | None = None
    retry_after: float | None = None
    detail: str | None = None


class EnqueuedMany(Model):
    """How many jobs were enqueued, and the outcome of each, in the order of the request."""

    enqueued: int
    results: list[Outcome]


class Changed(Model):
    """How many jobs a call has changed."""

    changed: int


class BulkOutcome(Model):
    """What was done to many jobs, or would be.

    Attributes:
        matched: how many fitted, up to `limit`.
        changed: how many of them were changed; others had gone on meanwhile. 0 in a dry run.
        more: `limit` was reached, and there may be more that fit.
        sample: ids of the first ones.
        by_queue: how many in each queue.
    """

    dry_run: bool
    matched: int
    changed: int
    more: bool
    sample: list[str]
    by_queue: dict[str, int]


class Explanation(Model):
    """Why a job is where it is.

    Attributes:
        reason: in one word, such as `KeyConcurrency`.
        sentence: for people.
        advice: what can be done; empty: nothing has to be.
        since: when it came there, as far as that is known.
        facts: what the sentence rests on; which there are depends on the reason. Times in milliseconds since 1970.
    """

    job_id: str
    queue: str
    status: Status
    reason: str
    sentence: str
    advice: str
    since: str | None
    facts: dict[str, Any]


class LogLine(Model):
    """A line that a job has logged, in which attempt; `at` is by the worker's clock."""

    at: str | None
    level: str
    logger: str
    message: str
    attempt: int


class Logs(Model):
    """What a job has logged. `dropped`: how many older lines are gone."""

    lines: list[LogLine]
    dropped: int


class FailureGroup(Model):
    """Failures of one queue that are the same.

    Attributes:
        group: its fingerprint, the same for the same failure in all queues.
        error, place, template: type, `module:function`, and the message without its particulars.
        count: how many attempts ended so.
        dead: how many dead letters there are now of which this was the end.
        image: of the worker that failed last.
        actors: some that failed so.
        sample: id of the job that failed last.
    """

    queue: str
    group: str
    error: str
    place: str
    template: str
    count: int
    dead: int
    first_seen: str | None
    last_seen: str | None
    image: str | None
    actors: list[str]
    sample: str


class FailureGroups(Model):
    groups: list[FailureGroup]


class Policy(Model):
    """What holds for a queue. null: the default."""

    queue: str
    policy: QueuePolicy


class Breaker(Model):
    """The circuit breaker of what some jobs of a queue depend on.

    Attributes:
        state: `open`: none of them starts; `half-open`: one tries whether it works again; `closed`: they start.
        failures: how many attempts have failed, one after the other.
        held: how many jobs are parked for it.
        since: when it opened.
        probe_at: when one job will try it again.
        probe: the id of the job that tries.
    """

    dependency: str
    state: Literal["closed", "open", "half-open"]
    failures: int
    held: int
    since: str | None
    probe_at: str | None
    probe: str | None


class Breakers(Model):
    """The breakers of a queue that have seen a failure of late."""

    queue: str
    breakers: list[Breaker]


class ScheduledRun(Model):
    """One tick of a schedule, or one run by hand.

    Attributes:
        nominal_time: the time that the schedule says.
        due_time: when its job may start: the nominal time and its part of the jitter.
        state: `planned`: not due yet; `waiting`: due, or between two attempts; `skipped`: an earlier run, or a unique job, is in
            its way; `unknown`: its job was forgotten before anybody looked.
    """

    nominal_time: str | None
    due_time: str | None
    job_id: str
    state: Literal["planned", "waiting", "running", "succeeded", "failed", "cancelled", "skipped", "unknown"]
    by_hand: bool
    ended_at: str | None


class Schedule(Model):
    """A schedule, as the queue knows it that gets its jobs.

    Attributes:
        counts: `recorded` ticks, and how many have `succeeded`, `failed`, were `cancelled` or `skipped`.
        runs: by nominal time: all that have not ended, and the newest that have.
    """

    name: str
    namespace: str
    uid: str
    queue: str
    actor: str
    schedules: list[str]
    time_zone: str
    overlap_policy: str
    counts: dict[str, int]
    runs: list[ScheduledRun]


class Schedules(Model):
    """The schedules that have put jobs into queues."""

    schedules: list[Schedule]


class BatchFailure(Model):
    """The first job of a batch that did not complete, and what became of it."""

    job_id: str
    queue: str
    state: str


class Batch(Model):
    """Jobs that belong together.

    Attributes:
        total: pending, completed, failed (dead letters), cancelled and discarded ones.
        callbacks: those that were called (`success`, `failure`, `complete`), and when.
    """

    batch_id: str
    description: str
    tags: list[str]
    total: int
    pending: int
    completed: int
    failed: int
    cancelled: int
    discarded: int
    callbacks: dict[str, str | None]
    first_failure: BatchFailure | None
    created_at: str | None
    enqueued_at: str | None
    ended_at: str | None
    cancelled_at: str | None


class Access(Model):
    """What a token is good for. Each scope includes those before it."""

    scope: Literal["read", "operate", "admin"]


class WrongField(Model):
    """A field that is wrong. `path` leads to it, with dots; empty: the whole of it."""

    path: str
    message: str


class Problem(BaseModel):
    """Why a request was refused (RFC 9457). Some kinds have further members."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[WrongField] | None = None
    job_id: str | None = None
    job_status: Status | None = None
    scope: str | None = None
    retry_after: float | None = None


class Health(Model):
    status: Literal["ok"]
