"""The status of a JobSchedule, from what Redis has recorded and what was planned. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from jobyard_operator.core.conditions import Status, built
from jobyard_operator.core.schedules.planning import Idle, Missed, Plan, resumed
from jobyard_operator.core.schedules.seen import LIVE, Recorded, Seen
from jobyard_operator.resources.jobschedule import Counters, JobSchedule, JobScheduleStatus, Run
from jobyard_operator.resources.meta import Condition

_MOST_ACTIVE: Final = 20


class Type(StrEnum):
    """The types of a JobSchedule's conditions, in the order in which they are listed."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SUSPENDED = "Suspended"


def new_status(
    schedule: JobSchedule,
    seen: Seen | None,
    plan: Plan | None,
    *,
    queue: str | None = None,
    problem: str | None = None,
    error: str | None = None,
) -> JobScheduleStatus:
    """The whole status, after the plan's effects were applied and Redis was looked at again.

    Args:
        seen: as it is now; None: Redis can't be reached.
        queue: where the plan's effects were applied; None: nowhere, what is known stays.
        plan: None: there is none, and `problem` or `error` says why.
        problem: what somebody has to change in the resource, or in what it names.
        error: why Redis can't be reached.
    """
    before = schedule.status
    moment = seen.now if seen is not None else datetime.now(UTC) if plan is None else plan.handled
    fields = before.model_dump()
    if queue is not None:
        fields["queue"] = queue
    if seen is not None:
        ticks = [run for run in seen.runs if not run.token and run.state != "Planned"]
        successes = [run.ended for run in seen.runs if run.state == "Succeeded" and run.ended is not None]
        live = [run for run in seen.runs if run.state in LIVE and run.state != "Planned"]
        missed = next((effect for effect in plan.effects if isinstance(effect, Missed)), None) if plan else None
        fields |= {
            "last_schedule_time": _latest(
                before.last_schedule_time, [run.nominal for run in ticks] + _known(seen.newest)
            ),
            "last_successful_time": _latest(before.last_successful_time, successes),
            "last_missed_time": _latest(before.last_missed_time, [missed.last] if missed else []),
            "active_runs": len(live),
            "active": [_run(run) for run in live[:_MOST_ACTIVE]],
            "recent_runs": _recent(schedule, seen),
            "counters": Counters(
                # A Redis that was emptied begins again at 0.
                fired=max(seen.fired, before.counters.fired),
                succeeded=max(seen.succeeded, before.counters.succeeded),
                failed=max(seen.failed, before.counters.failed),
                cancelled=max(seen.cancelled, before.counters.cancelled),
                skipped=max(seen.skipped, before.counters.skipped),
                missed=before.counters.missed + (missed.count if missed else 0),
            ),
        }
        since = resumed(schedule, moment)
        fields["resumed_time"] = None if since is None else rfc3339(since)
    if plan is not None:
        fields |= {
            "handled_time": rfc3339(plan.handled),
            "next_schedule_times": [rfc3339(time) for time in plan.upcoming],
        }
    elif problem is not None:
        fields["next_schedule_times"] = []
    if plan is not None or problem is not None:
        # Otherwise what is new in the resource was not dealt with yet.
        fields["observed_generation"] = schedule.metadata.generation
    fields["conditions"] = _conditions(schedule, plan, rfc3339(moment), problem, error)
    return JobScheduleStatus.model_validate(fields)


def is_news(before: JobScheduleStatus, after: JobScheduleStatus) -> bool:
    """Whether it is worth a write: that some more time without ticks has passed is not."""
    return before.model_copy(update={"handled_time": after.handled_time}) != after


def rfc3339(moment: datetime) -> str:
    """As Kubernetes writes times: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _conditions(
    schedule: JobSchedule, plan: Plan | None, now: str, problem: str | None, error: str | None
) -> list[Condition]:
    known = {condition.type: condition for condition in schedule.status.conditions}
    idle = plan.idle if plan is not None else None
    suspended = known.get(Type.SUSPENDED)
    # While Redis can't be reached nobody knows better than before.
    was: Status = suspended.status if suspended is not None else "Unknown"
    said: dict[Type, tuple[Status, str, str]] = {
        Type.READY: ("True", "Scheduled", "Ticks are planned, and fire also while the operator is away."),
        Type.RECONCILING: ("False", "UpToDate", "Everything is as the resource says."),
        Type.STALLED: ("False", "Progressing", "Nothing keeps it from being reconciled."),
        Type.SUSPENDED: ("False", "Firing", "Ticks fire."),
    }
    if idle is not None:
        said[Type.READY] = ("True", idle, idle.explanation)
        if idle in (Idle.SUSPENDED, Idle.FAILURES):
            said[Type.SUSPENDED] = ("True", idle, idle.explanation)
        if idle is Idle.FAILURES:
            said[Type.READY] = ("False", idle, idle.explanation)
    if error is not None:
        sentence = f"Redis can't be reached; what is planned there fires nevertheless: {error}"
        said[Type.READY] = ("False", "RedisUnreachable", sentence)
        said[Type.RECONCILING] = ("True", "RedisUnreachable", sentence)
        said[Type.SUSPENDED] = (was, "RedisUnreachable", sentence)
    if problem is not None:
        said[Type.READY] = said[Type.STALLED] = ("False", "NeedsChange", problem)
        said[Type.STALLED] = ("True", "NeedsChange", problem)
        said[Type.SUSPENDED] = ("True", "NeedsChange", "Nothing fires until the resource is changed.")
    ours = [built(kind, said[kind], schedule.metadata.generation, known.get(kind), now) for kind in Type]
    return ours + [condition for kind, condition in known.items() if kind not in set(Type)]


def _recent(schedule: JobSchedule, seen: Seen) -> list[Run]:
    """Those that have ended, the newest first, as many of each kind as the limits say."""
    left = {True: schedule.spec.successful_runs_history_limit, False: schedule.spec.failed_runs_history_limit}
    found = []
    for run in sorted(seen.runs, key=lambda run: run.nominal, reverse=True):
        if run.state in LIVE:
            continue
        kind = run.state == "Succeeded"
        if left[kind] > 0:
            left[kind] -= 1
            found.append(_run(run))
    return found


def _run(run: Recorded) -> Run:
    return Run(
        nominal_time=rfc3339(run.nominal),
        due_time=rfc3339(run.due) if run.due != run.nominal else None,
        job_id=run.job_id,
        manual=bool(run.token),
        outcome=run.state,
        ended_time=None if run.ended is None else rfc3339(run.ended),
    )


def _latest(before: str | None, moments: Iterable[datetime]) -> str | None:
    newest = max(moments, default=None)
    if newest is None:
        return before
    text = rfc3339(newest)
    return text if before is None else max(before, text)


def _known(moment: datetime | None) -> list[datetime]:
    return [] if moment is None else [moment]
