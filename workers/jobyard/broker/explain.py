"""Why a job is where it is, in words: from its situation, without asking anybody. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from jobyard.broker.breakers import Breaker
from jobyard.broker.envelope import UNREADABLE
from jobyard.broker.inspector import Job
from jobyard.broker.pods import LOSSES
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.situation import Situation
from jobyard.broker.states import State


class Reason(StrEnum):
    """Why a job is where it is."""

    # It waits
    QUEUE_PAUSED = "QueuePaused"
    QUEUE_HELD = "QueueHeld"
    NO_WORKER = "NoWorker"
    ACTOR_NOT_KNOWN = "ActorNotKnown"
    QUEUE_CONCURRENCY = "QueueConcurrency"
    QUEUE_RATE = "QueueRate"
    KEY_CONCURRENCY = "KeyConcurrency"
    KEY_RATE = "KeyRate"
    FAIR_TURN = "FairTurn"
    DEPENDENCY_DOWN = "DependencyDown"
    BEHIND_OTHERS = "BehindOthers"
    WORKERS_BUSY = "WorkersBusy"
    NEXT = "Next"
    # It is delayed
    DELAYED = "Delayed"
    RETRY_BACK_OFF = "RetryBackOff"
    RECOVERED = "Recovered"
    PUT_OFF = "PutOff"
    RETRIED_SLOWLY = "RetriedSlowly"
    # It runs
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    LEASE_RAN_OUT = "LeaseRanOut"
    DEADLINE_EXCEEDED = "DeadlineExceeded"  # or it is dead
    # It is dead
    ATTEMPTS_USED_UP = "AttemptsUsedUp"
    PERMANENT_ERROR = "PermanentError"
    EXPIRED = "Expired"
    KILLED_ITS_WORKERS = "KilledItsWorkers"
    UNREADABLE = "Unreadable"
    ACTOR_NOT_FOUND = "ActorNotFound"
    # It has ended otherwise
    COMPLETED = "Completed"
    CANCELLED = "Cancelled"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where a job is, and why.

    Attributes:
        queue, state: None: no queue knows the job.
        since: when it came there, in ms since 1970, as far as that is known.
        sentence: one line for people.
        facts: what that rests on; which there are depends on the reason. Times in ms since 1970.
        advice: what can be done, one line; empty: nothing has to be.
    """

    job_id: str
    queue: str | None
    state: State | None
    reason: Reason
    sentence: str
    since: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason with its words."""

    reason: Reason
    sentence: str
    advice: str = ""
    since: int | None = None


#: Errors that the broker writes into a job's history itself, when its worker is gone.
_DEATHS: Final = frozenset({"LeaseExpired", *LOSSES})


def explain(situation: Situation) -> Explanation:
    """The explanation of a known job."""
    job = situation.job
    cause = _BY_STATE[job.state](situation)
    return Explanation(
        job_id=job.id, queue=job.queue, state=job.state, reason=cause.reason, sentence=cause.sentence, since=cause.since,
        facts={name: value for name, value in _facts(situation).items() if value not in (None, "", [], {})},
        advice=cause.advice,
    )  # fmt: skip


def explain_unknown(job_id: str, policies: dict[str, QueuePolicy]) -> Explanation:
    """The explanation of a job that none of these queues knows."""
    kept = {name: _retention(policy) for name, policy in policies.items()}
    if len(kept) == 1:
        ((name, one),) = kept.items()
        there = f"Queue {name!r} doesn't know it, and keeps " + ", ".join(
            f"{state} jobs for {span(limits['ms'])} (up to {limits['jobs']:,})" for state, limits in one.items()
        )
    else:
        there = f"None of {len(kept)} queues knows it"
    return Explanation(
        job_id=job_id, queue=None, state=None, reason=Reason.UNKNOWN,
        sentence=f"{there}: it ended so long ago that it is forgotten, was discarded, or was never accepted.",
        facts={"retention": kept},
        advice="Check the id and the namespace; to look jobs up for longer, raise what the queue's policy keeps.",
    )  # fmt: skip


# By state ------------------------------------------------------------------------------------------------------------


def _waiting(one: Situation) -> Cause:
    job, policy, ahead = one.job, one.policy, one.job.position or 0
    behind = f", behind {_count(ahead, 'job')}" if ahead else ""
    found: Cause | None = None
    if policy.paused:
        found = Cause(Reason.QUEUE_PAUSED, f"Queue {job.queue!r} is paused{behind}.", "Resume the queue.")
    elif one.held is not None:
        found = Cause(
            Reason.QUEUE_HELD, f"The operator holds queue {job.queue!r} ({_line(one.held)}){behind}.", _HELD_ADVICE
        )
    elif not one.serving and not one.served_by_others:
        found = Cause(
            Reason.NO_WORKER, f"No worker serves queue {job.queue!r}{behind}.",
            f"Start a worker: jobyard worker MODULE --queues {job.queue}",
        )  # fmt: skip
    elif not one.knowing and not one.served_by_others:
        names = _some([worker.name for worker in one.serving])
        found = Cause(
            Reason.ACTOR_NOT_KNOWN,
            f"None of the workers of queue {job.queue!r} knows the actor {job.actor!r} ({names}){behind}.",
            "Start a worker with the module that declares the actor, or discard the job.",
        )
    elif policy.concurrency is not None and one.active >= policy.concurrency:
        found = Cause(
            Reason.QUEUE_CONCURRENCY,
            f"Queue {job.queue!r} runs {_count(one.active, 'job')}, which is its limit ({_some(one.running)}){behind}.",
            "It starts when one of them ends; raise the policy's `concurrency` to run more at once.",
        )
    elif one.queue_rate_at is not None and one.queue_rate_at > one.now:
        found = Cause(
            Reason.QUEUE_RATE,
            f"The rate of queue {job.queue!r} allows the next start in {span(one.queue_rate_at - one.now)}{behind}.",
            "Raise the policy's `rate` to start more.",
        )
    elif _key_is_full(one):
        found = Cause(Reason.KEY_CONCURRENCY, f"{_key_words(one)}{behind}.", _KEY_ADVICE)
    elif ahead and policy.fair and one.key:
        found = Cause(
            Reason.FAIR_TURN, f"It waits for the turn of its key {one.key!r}{behind} ({_priorities(one)}).",
            "Raise the key's weight, or start more workers.",
        )  # fmt: skip
    elif ahead:
        found = Cause(
            Reason.BEHIND_OTHERS, f"It is behind {_count(ahead, 'job')} ({_priorities(one)}).",
            "Start more workers if that takes too long.",
        )  # fmt: skip
    elif one.knowing and all(worker.busy >= worker.threads for worker in one.knowing):
        found = Cause(
            Reason.WORKERS_BUSY, f"It is the next one; all workers of its queue are busy ({_workers(one)}).",
            "Start more workers if that takes too long.",
        )  # fmt: skip
    return found or Cause(Reason.NEXT, "It is the next one, and a worker is about to take it.")


def _parked(one: Situation) -> Cause:
    behind = f", behind {_count(one.parked_ahead, 'job')} of that key" if one.parked_ahead else ""
    if one.policy.paused:
        return Cause(
            Reason.QUEUE_PAUSED, f"Queue {one.job.queue!r} is paused; besides, it waits for a slot of {one.key!r}{behind}.",
            "Resume the queue.",
        )  # fmt: skip
    if one.held is not None:
        held = f"The operator holds queue {one.job.queue!r} ({_line(one.held)})"
        what = f"a slot of {one.key!r}" if one.breaker is None else repr(one.breaker.dependency)
        return Cause(Reason.QUEUE_HELD, f"{held}; besides, it waits for {what}{behind}.", _HELD_ADVICE)
    if one.breaker is not None:
        return _held(one, one.breaker)
    if _key_is_full(one):
        return Cause(Reason.KEY_CONCURRENCY, f"{_key_words(one)}{behind}.", _KEY_ADVICE)
    return Cause(Reason.KEY_CONCURRENCY, f"It waits for a job of its key {one.key!r} that comes before it{behind}.")


def _held(one: Situation, breaker: Breaker) -> Cause:
    what = (
        f"{breaker.dependency!r} has failed {_count(breaker.failures, 'time')} in a row"
        if breaker.failures
        else (f"{breaker.dependency!r} is switched off")
    )
    if breaker.probe is not None:
        then = f"job {breaker.probe} is trying it now"
    elif breaker.probe_at is not None and breaker.probe_at > one.now:
        then = f"a job tries it again in {span(breaker.probe_at - one.now)}"
    else:
        then = "the next job tries it again"
    behind = f", {_count(one.parked_ahead, 'job')} before this one" if one.parked_ahead else ""
    return Cause(
        Reason.DEPENDENCY_DOWN, f"{what}, so its jobs are held{behind}; {then}.",
        "When it works again, close its circuit breaker, or wait for the next try.", breaker.since,
    )  # fmt: skip


def _delayed(one: Situation) -> Cause:
    job = one.job
    due = job.due_at or one.now
    when = f"in {span(due - one.now)}" if due > one.now else "now, as soon as a worker looks"
    last = job.last_error
    what = f"{last.get('error')}: {_line(last.get('message'))}" if last else ""
    if one.granted:
        return Cause(
            Reason.KEY_RATE, f"The rate of its key {one.key!r} has given it its time: it starts {when}.",
            "Raise the policy's `key_rate` to start more.",
        )  # fmt: skip
    if job.attempts == 0 and last and not one.put_off:
        return Cause(Reason.RETRIED_SLOWLY, f"It was a dead letter and is retried at a limited rate: {when}.")
    if last and not one.put_off:
        if last.get("error") in _DEATHS:
            return Cause(
                Reason.RECOVERED, f"It runs again {when}, since its worker was lost in attempt {job.attempts} ({what}).",
                "If that happens again and again, the job itself may be what kills workers: look at their memory and logs.",
                last.get("ended_at"),
            )  # fmt: skip
        return Cause(
            Reason.RETRY_BACK_OFF, f"Attempt {job.attempts} failed ({what}); the next one is {when}.",
            "Nothing has to be done, unless the error is one that no further attempt can cure: then cancel it.",
            last.get("ended_at"),
        )  # fmt: skip
    if one.put_off:
        return Cause(Reason.PUT_OFF, f"It asked to be run again later, without using an attempt: {when}.")
    return Cause(Reason.DELAYED, f"It was enqueued with a delay and is due {when}.", since=job.created_at)


def _active(one: Situation) -> Cause:
    job = one.job
    worker = next((found.name for found in one.workers if found.token == job.worker), job.worker)
    running = f"on {worker}, attempt {job.attempts}"
    if job.started_at is not None:
        running += f", for {span(one.now - job.started_at)}"
    if one.lease_until is not None and one.lease_until <= one.now:
        return Cause(
            Reason.LEASE_RAN_OUT,
            f"It runs {running}, but that worker's lease ran out {span(one.now - one.lease_until)} ago.",
            f"Another worker takes it over as soon as one looks: make sure that queue {job.queue!r} has one.",
            job.started_at,
        )
    if one.cancelled_at is not None:
        return Cause(
            Reason.DEADLINE_EXCEEDED if one.late else Reason.CANCELLING,
            f"It runs {running}, and was asked to stop {span(one.now - one.cancelled_at)} ago"
            f"{', since its deadline is over' if one.late else ''}.",
            "A job that waits in C code (a database, a download) stops when that returns.", job.started_at,
        )  # fmt: skip
    progress = job.progress or {}
    if progress:
        running += (
            f"; {progress.get('percent', 0):g} %{': ' if progress.get('message') else ''}{progress.get('message', '')}"
        )
    return Cause(Reason.RUNNING, f"It runs {running}.", since=job.started_at)


def _dead(one: Situation) -> Cause:
    job = one.job
    last = job.last_error
    name, words = str(last.get("error", "")), _line(last.get("message"))
    what = f"{name}: {words}" if words else name or "no error is known"
    retry = "Find out why, then retry the dead letter or discard it."
    if name in ("KeyMissingError", "EnvelopeRefusedError"):
        found = Cause(
            Reason.UNREADABLE, f"No worker could or would read it: {words}.",
            "Give the workers the key, then retry it; or discard it.",
        )  # fmt: skip
    elif job.actor == UNREADABLE:
        found = Cause(Reason.UNREADABLE, "Its envelope can't be read.", "Set the encoder that wrote it, or discard it.")
    elif name == "Expired":
        found = Cause(
            Reason.EXPIRED, "It was not started by the time by which it had to be.",
            "Start more workers, or enqueue with a longer `expires`.",
        )  # fmt: skip
    elif name == "DeadlineExceeded" or last.get("deadline"):
        before = f"Attempt {job.attempts} failed ({what}), and the next one" if last.get("deadline") else "It"
        found = Cause(
            Reason.DEADLINE_EXCEEDED, f"{before} could not be done by its deadline.",
            "Start more workers, or enqueue with a longer `deadline`. Retried now, it has none.",
        )  # fmt: skip
    elif name in _DEATHS:
        found = Cause(
            Reason.KILLED_ITS_WORKERS, f"Its worker was lost in every attempt, {job.attempts} in all ({what}).",
            "Look for what kills the worker: memory, a crash in C code, the pod's limits.",
        )  # fmt: skip
    elif name == "ActorNotFound":
        found = Cause(
            Reason.ACTOR_NOT_FOUND, f"No worker has known its actor {job.actor!r} for long.",
            "Start a worker with the module that declares it, then retry the dead letter.",
        )  # fmt: skip
    elif last.get("final"):
        found = Cause(
            Reason.PERMANENT_ERROR, f"Attempt {job.attempts} failed with an error that is final ({what}).", retry
        )
    else:
        found = Cause(
            Reason.ATTEMPTS_USED_UP, f"{_count(job.attempts, 'attempt')} failed, the last one with {what}.", retry
        )
    return Cause(found.reason, found.sentence, found.advice, job.ended_at)


def _completed(one: Situation) -> Cause:
    took = _took(one.job)
    return Cause(Reason.COMPLETED, f"It completed in attempt {one.job.attempts}{took}.", since=one.job.ended_at)


def _cancelled(one: Situation) -> Cause:
    when = f"during or after attempt {one.job.attempts}" if one.job.attempts else "before it ran"
    return Cause(Reason.CANCELLED, f"Somebody cancelled it {when}.", since=one.job.ended_at)


_BY_STATE: Final[dict[State, Callable[[Situation], Cause]]] = {
    "waiting": _waiting,
    "parked": _parked,
    "delayed": _delayed,
    "active": _active,
    "dead": _dead,
    "completed": _completed,
    "cancelled": _cancelled,
}


# Facts ---------------------------------------------------------------------------------------------------------------


def _facts(one: Situation) -> dict[str, Any]:
    job, policy = one.job, one.policy
    facts: dict[str, Any] = {
        "attempts": job.attempts,
        "created_at": job.created_at,
        "key": one.key,
        "last_error": {name: job.errors[-1].get(name) for name in ("error", "message", "group")}
        if job.errors
        else None,
    }
    if job.ended:
        return facts | {"ended_at": job.ended_at}
    facts |= {
        "paused": True if policy.paused else None,
        "held": one.held,
        "expires_at": one.expires_at,
        "deadline_at": one.deadline_at,
    }
    if job.state == "active":
        left = None if one.lease_until is None else max(0, one.lease_until - one.now)
        return facts | {
            "worker": job.worker, "started_at": job.started_at, "lease_left": left, "progress": job.progress,
            "cancelled_at": one.cancelled_at,
        }  # fmt: skip
    return facts | {
        "due_at": job.due_at,
        "priority": job.priority,
        "position": job.position,
        "ahead": {str(priority): count for priority, count in sorted(one.ahead.items())},
        "ahead_read": one.ahead_read if one.ahead_read < (job.position or 0) else None,
        "parked_ahead": one.parked_ahead if job.state == "parked" else None,
        "active": one.active,
        "concurrency": policy.concurrency,
        "running": one.running if policy.concurrency else None,
        "key_concurrency": policy.key_concurrency if one.key else None,
        "key_active": one.slots if one.key else None,
        "holders": one.holders,
        "queue_rate_at": one.queue_rate_at,
        "key_rate_at": one.key_rate_at,
        "fair": True if policy.fair else None,
        "workers": [
            {"name": worker.name, "busy": worker.busy, "threads": worker.threads, "knows_actor": worker in one.knowing}
            for worker in one.serving
        ],
    }  # fmt: skip


def _retention(policy: QueuePolicy) -> dict[str, dict[str, int]]:
    # As in `retention.lua`.
    kept = {"completed": (100_000, 3_600_000), "cancelled": (10_000, 86_400_000), "dead": (100_000, 30 * 86_400_000)}
    found = {}
    for state, (jobs, ms) in kept.items():
        own, own_ms = getattr(policy, state), getattr(policy, f"{state}_ttl")
        found[state] = {"jobs": jobs if own is None else own, "ms": ms if own_ms is None else own_ms}
    return found


# Words ---------------------------------------------------------------------------------------------------------------

_HELD_ADVICE: Final = "It goes on by itself when that is mended: the JobQueue's conditions say what to do."
_KEY_ADVICE: Final = "It starts when one of them ends; raise the policy's `key_concurrency` to run more of one key."


def span(ms: int) -> str:
    """A length of time, as roughly as people say it: "250 ms", "12 s", "3 min", "5 h", "2 days"."""
    if ms < 1_000:
        return f"{max(0, ms)} ms"
    for limit, unit, name in ((120_000, 1_000, "s"), (7_200_000, 60_000, "min"), (172_800_000, 3_600_000, "h")):
        if ms < limit:
            return f"{ms // unit} {name}"
    return f"{ms // 86_400_000} days"


def _key_is_full(one: Situation) -> bool:
    limit = one.policy.key_concurrency
    return bool(one.key) and limit is not None and one.slots >= limit


def _key_words(one: Situation) -> str:
    holders = f" ({_some(one.holders)})" if one.holders else ""
    return f"Its key {one.key!r} runs {_count(one.slots, 'job')}, which is the key's limit{holders}"


def _priorities(one: Situation) -> str:
    parts = [f"{count:,} of priority {priority}" for priority, count in sorted(one.ahead.items())]
    if one.ahead_read < (one.job.position or 0):
        return f"of the first {one.ahead_read:,}: " + ", ".join(parts)
    return ", ".join(parts)


def _workers(one: Situation) -> str:
    return _some([f"{worker.name}: {worker.busy} of {worker.threads}" for worker in one.knowing])


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return f"{shown}, …" if len(names) > most else shown


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _line(text: object) -> str:
    line = " ".join(str(text or "").split())
    return line if len(line) <= 120 else line[:119] + "…"


def _took(job: Job) -> str:
    if job.started_at is None or job.ended_at is None:
        return ""
    return f", which took {span(job.ended_at - job.started_at)}"
