"""Schedules in Redis: a tick is recorded together with its job, or not at all, and once whoever records it.

Ticks are put in ahead of time, as delayed jobs. Whether the job of an earlier tick still runs is seen when one is due, by the
script that would let it start; so an overlap policy holds also while no operator is there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from dramatiq import Message

from jobyard.broker import JobyardBroker
from jobyard.broker.schedules import QueueSchedule
from jobyard.broker.scripts import Argument
from jobyard.errors import MessageTooLarge
from jobyard_operator.core.schedules import (
    Effect,
    Enqueue,
    Recorded,
    ScheduleError,
    Seen,
    TakeBack,
    digest,
    job_id,
    run_id,
)
from jobyard_operator.core.schedules.status import rfc3339
from jobyard_operator.core.schedules.ticks import at, milliseconds
from jobyard_operator.redis.epoch import write
from jobyard_operator.resources import JobSchedule

_POLICIES: Final = {"Allow": "", "Skip": "skip", "BufferOne": "buffer", "Replace": "replace"}
#: Options of a message that would say what the schedule says.
_OF_THE_SCHEDULE: Final = {
    "delay": "when it runs is the schedule's business",
    "run_at": "when it runs is the schedule's business",
    "idempotency_key": "a tick has an id of its own",
    "priority": "it has a place of its own: template.priority",
}


def observe(broker: JobyardBroker, queue: str, uid: str) -> Seen:
    """What is recorded of a schedule.

    Raises:
        BrokerError: no answer.
    """
    return seen(broker.schedules.look(queue, uid))


def seen(found: QueueSchedule) -> Seen:
    """The same, of a look that somebody took already."""
    runs = tuple(
        Recorded(
            nominal=at(run.nominal),
            due=at(run.due),
            job_id=run.job_id,
            digest=run.digest,
            state=run.state,
            token=run.token,
            ended=None if run.ended_at is None else at(run.ended_at),
        )
        for run in found.runs
    )
    floor = at(found.floor) if found.floor else None
    due = [run.nominal for run in runs if not run.token and run.due <= at(found.now)] + ([floor] if floor else [])
    planned = sum(run.state == "Planned" for run in runs)
    return Seen(
        now=at(found.now),
        runs=runs,
        newest=max(due, default=None),
        floor=floor,
        fired=found.counts["recorded"] - planned,
        succeeded=found.counts["succeeded"],
        failed=found.counts["failed"],
        cancelled=found.counts["cancelled"],
        skipped=found.counts["skipped"],
    )


def apply(
    broker: JobyardBroker, queue: str, epoch: int, schedule: JobSchedule, effects: Iterable[Effect]
) -> tuple[int, int]:
    """Do what was planned: in one call, all of it or nothing. Doing it again changes nothing more.

    Returns:
        How many ticks were put in, and how many taken back.

    Raises:
        Superseded: nothing was done, and nothing may be done any more.
        ScheduleError: the template makes no job; nothing was done.
        BrokerError: it is not known whether it was done.
    """
    effects = list(effects)
    back: list[Argument] = []
    for effect in effects:
        if isinstance(effect, TakeBack):
            back += (f"@{milliseconds(effect.run.nominal)}", milliseconds(effect.run.due), effect.run.digest)
    uid = schedule.metadata.uid
    ticks = [effect.tick for effect in effects if isinstance(effect, Enqueue)]
    if not ticks:
        if not back:
            return 0, 0
        taken, _ = write(broker, "schedule_drop", queue, epoch, uid, *back, own=broker.keys(queue).schedule(uid))
        return 0, taken
    new: list[Argument] = []
    for tick in ticks:
        name, due = f"@{milliseconds(tick.nominal)}", milliseconds(tick.due)
        new += (name, due, *_job(broker, queue, schedule, job_id(uid, tick.nominal), tick.nominal))
    return _put_in(broker, queue, epoch, schedule, back, new)


def run_now(broker: JobyardBroker, queue: str, epoch: int, schedule: JobSchedule, token: str) -> str:
    """Run it once, now, besides its ticks; the overlap policy holds. The same token runs it once.

    Returns:
        The id of the job.

    Raises:
        As `apply`.
    """
    uid = schedule.metadata.uid
    made = run_id(uid, token)
    now = at(round(time.time() * 1000))
    _put_in(broker, queue, epoch, schedule, [], [f"!{token}", 0, *_job(broker, queue, schedule, made, now)])
    return made


def forget(broker: JobyardBroker, queue: str, epoch: int, uid: str) -> int:
    """The schedule is gone: take its planned ticks back, and forget what is recorded. Jobs that are due stay.

    Returns:
        How many ticks were taken back.

    Raises:
        Superseded, BrokerError: see `apply`.
    """
    taken, _ = write(broker, "schedule_drop", queue, epoch, uid, "all", own=broker.keys(queue).schedule(uid))
    return taken


def _put_in(
    broker: JobyardBroker, queue: str, epoch: int, schedule: JobSchedule, back: list[Argument], new: list[Argument]
) -> tuple[int, int]:
    spec, uid = schedule.spec, schedule.metadata.uid
    info = {
        "name": schedule.metadata.name,
        "namespace": schedule.metadata.namespace,
        "schedules": spec.schedules,
        "timeZone": spec.time_zone,
        "actor": spec.template.actor,
        "overlapPolicy": spec.overlap_policy,
    }
    broker.announce([queue])
    return write(
        broker,
        "schedule_plan",
        queue,
        epoch,
        uid,
        json.dumps(info),
        _POLICIES[spec.overlap_policy],
        digest(schedule),
        # What was counted before Redis was emptied, or in another queue.
        *(getattr(schedule.status.counters, name) for name in ("fired", "succeeded", "failed", "cancelled", "skipped")),
        len(back) // 3,
        *back,
        *new,
        own=broker.keys(queue).schedule(uid),
    )


def _job(
    broker: JobyardBroker, queue: str, schedule: JobSchedule, made: str, nominal: datetime
) -> tuple[Argument, Argument, Argument, Argument, Argument]:
    """Id, envelope, priority, wishes, and for how long it may wait: as `schedule_plan.lua` takes them."""
    template = schedule.spec.template
    options: dict[str, Any] = dict(template.options or {})
    for name in options.keys() & _OF_THE_SCHEDULE:
        raise ScheduleError(f"template.options.{name} makes no sense here: {_OF_THE_SCHEDULE[name]}")
    if template.priority is not None:
        options["priority"] = template.priority
    options["schedule"] = f"{schedule.metadata.namespace}/{schedule.metadata.name}".removeprefix("/")
    options["scheduled_for"] = rfc3339(nominal)
    message: Message[Any] = Message(
        queue,
        template.actor,
        tuple(template.args),
        dict(template.kwargs or {}),
        options,
        made,
        round(time.time() * 1000),
    )
    try:
        job = broker.follow_up(message)
    except (MessageTooLarge, ValueError, TypeError) as error:
        raise ScheduleError(f"template makes no job: {error}") from error
    deadline = schedule.spec.starting_deadline_seconds
    return job.job_id, job.envelope, job.priority, job.wishes, "" if deadline is None else deadline * 1000
