"""What is to be done about a schedule now: `plan(schedule, seen, now) -> Plan`, pure.

Ticks are put into Redis ahead of time, so that they fire while nobody is here. A tick that was missed is caught up as the
schedule says, but never one that it did not say then: time before it was created, while it was suspended or before it was last
edited is not caught up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Final

from jobyard_operator.core.explained import Explained
from jobyard_operator.core.schedules.cron import ScheduleError
from jobyard_operator.core.schedules.expressions import moment
from jobyard_operator.core.schedules.seen import Recorded, Seen
from jobyard_operator.core.schedules.ticks import Calendar, Tick, last_ticks, next_ticks, ticks
from jobyard_operator.resources.jobschedule import JobSchedule, JobScheduleStatus

#: Ticks that are due so soon lie in Redis already: for so long nobody has to be here.
HORIZON: Final = timedelta(minutes=10)
#: But not more of one schedule at a time.
MOST_AHEAD: Final = 200
#: A tick that is late by so much was not missed: it was just planned, or somebody else has just taken over.
ON_TIME: Final = timedelta(seconds=15)
#: How many missed ticks are counted at once.
MOST_MISSED: Final = 1000
_SECOND: Final = timedelta(seconds=1)
#: After so long a schedule is looked at again, whatever it says.
LONGEST_PAUSE: Final = timedelta(minutes=1)


class Idle(Explained):
    """Why a schedule fires nothing now. `explanation` is the sentence in its conditions."""

    SUSPENDED = "SpecSuspended", "spec.suspend is set: nothing fires."
    FAILURES = (
        "TooManyFailures",
        "pauseAfterFailures runs in a row have failed: nothing fires until the resource is changed, or annotated with "
        "jobyard.dev/resume.",
    )
    RUN_LIMIT = "RunLimitReached", "It has fired runLimit times: nothing fires any more."
    ENDED = "NoMoreTicks", "No tick is left."


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Take a planned tick back, unless it has become due meanwhile."""

    run: Recorded


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Record a tick and put its job into the queue, if it is not recorded yet.

    Attributes:
        late: it should have been done before; it starts at once.
    """

    tick: Tick
    late: bool = False


@dataclass(frozen=True, slots=True)
class Missed:
    """So many ticks came too late to be run; at least so many, where it is `MOST_MISSED`."""

    count: int
    last: datetime


Effect = TakeBack | Enqueue | Missed


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, in this order, and when to look again.

    Attributes:
        idle: why nothing fires; None: something does.
        upcoming: nominal times of the next five ticks.
        handled: ticks up to this time are dealt with when the effects are applied.
        again: when to look again at the latest.
    """

    effects: tuple[Effect, ...] = ()
    idle: Idle | None = None
    upcoming: tuple[datetime, ...] = ()
    handled: datetime
    again: datetime


def digest(schedule: JobSchedule) -> str:
    """Names what a tick's job is made from; another one means that planned jobs have to be replaced."""
    spec = schedule.spec
    parts = [
        spec.template.model_dump(mode="json"),
        spec.queue_ref.name,
        spec.overlap_policy,
        spec.starting_deadline_seconds,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def plan(schedule: JobSchedule, seen: Seen, now: datetime | None = None) -> Plan:
    """What to do about a schedule.

    Args:
        schedule: with its status as it was written last.
        seen: what Redis has recorded of it.
        now: the time; None: that of Redis when it was seen.

    Raises:
        ScheduleError: the schedule can't be understood; the message says what to change. Take its planned ticks back.
    """
    now = now or seen.now
    spec, status = schedule.spec, schedule.status
    calendar = Calendar.of(spec, schedule.metadata.uid)
    planned = {run.nominal: run for run in seen.runs if run.state == "Planned" and run.due > now and not run.token}
    recorded = {run.nominal for run in seen.runs if not run.token}
    anchor = _anchor(schedule, seen, now)
    left = None if spec.run_limit is None else spec.run_limit - max(seen.fired, status.counters.fired)
    idle = _idle(schedule, seen, left)
    if idle is not None:
        return Plan(
            effects=tuple(TakeBack(run) for run in planned.values()),
            idle=idle,
            handled=now,
            again=now + LONGEST_PAUSE,
        )

    late, missed = _late(schedule, calendar, anchor, now, recorded)
    late = sorted(late + _due_now(calendar, now, planned))
    if left is not None:
        late = late[:left]
        left -= len(late)
    ahead = [tick for tick in _ahead(calendar, anchor, now, planned) if tick.nominal not in recorded - planned.keys()]
    if left is not None:
        ahead = ahead[:left]

    wanted = {tick.nominal: tick for tick in ahead}
    mark = digest(schedule)
    stale = {
        nominal: run
        for nominal, run in planned.items()
        if nominal not in wanted or run.digest != mark or run.due != wanted[nominal].due
    }
    effects: list[Effect] = [TakeBack(run) for run in stale.values()]
    effects += [Enqueue(tick, late=True) for tick in late]
    effects += [Enqueue(tick) for tick in ahead if tick.nominal not in planned or tick.nominal in stale]
    if missed is not None:
        effects.append(missed)
    upcoming = [tick.nominal for tick in next_ticks(calendar, now, 5)]
    if left is not None:
        upcoming = upcoming[: max(0, left)]
    return Plan(
        effects=tuple(effects),
        idle=None if upcoming or ahead else Idle.ENDED if left is None or left > 0 else Idle.RUN_LIMIT,
        upcoming=tuple(upcoming),
        handled=_handled(ahead, now),
        again=_again(ahead, now),
    )


def taken_back(seen: Seen) -> tuple[TakeBack, ...]:
    """What to do about a schedule that is deleted, or can't be understood."""
    return tuple(TakeBack(run) for run in seen.runs if run.state == "Planned" and run.due > seen.now and not run.token)


def failures_in_a_row(runs: Iterable[Recorded], since: datetime | None) -> int:
    """How many of the runs that have ended last have failed, without one between that has not."""
    ended = [run for run in runs if run.state in ("Succeeded", "Failed") and (since is None or run.nominal > since)]
    count = 0
    for run in sorted(ended, key=lambda run: run.ended or run.due, reverse=True):
        if run.state != "Failed":
            break
        count += 1
    return count


def resumed(schedule: JobSchedule, now: datetime) -> datetime | None:
    """Since when failures count: an edit, which is seen here for the first time, forgives those before."""
    if _edited(schedule):
        return now
    return _time(schedule.status.resumed_time)


def _edited(schedule: JobSchedule) -> bool:
    return schedule.status.observed_generation not in (0, schedule.metadata.generation)


def _anchor(schedule: JobSchedule, seen: Seen, now: datetime) -> datetime:
    """Ticks up to this time are dealt with, or are none of this schedule's."""
    if _edited(schedule) or _was_idle(schedule.status):
        return now
    known = [
        _time(schedule.metadata.creation_timestamp),
        _time(schedule.status.last_schedule_time),
        _time(schedule.status.handled_time),
        seen.newest,
        seen.floor,
    ]
    return max((time for time in known if time is not None), default=now)


def _was_idle(status: JobScheduleStatus) -> bool:
    return any(one.type == "Suspended" and one.status == "True" for one in status.conditions)


def _idle(schedule: JobSchedule, seen: Seen, left: int | None) -> Idle | None:
    spec = schedule.spec
    if spec.suspend:
        return Idle.SUSPENDED
    if left is not None and left <= 0:
        return Idle.RUN_LIMIT
    most = spec.pause_after_failures
    if most is not None and failures_in_a_row(seen.runs, resumed(schedule, seen.now)) >= most:
        return Idle.FAILURES
    return None


def _late(
    schedule: JobSchedule, calendar: Calendar, anchor: datetime, now: datetime, recorded: set[datetime]
) -> tuple[list[Tick], Missed | None]:
    """Ticks that are due and not recorded: those to run now, and how many are missed for good."""
    spec = schedule.spec
    catch_up = spec.catch_up
    count = {"None": 0, "Latest": 1, "All": catch_up.max_runs}[catch_up.policy]
    punctual = [tick for tick in ticks(calendar, max(anchor, now - ON_TIME - calendar.jitter), now) if tick.due <= now]
    punctual = [tick for tick in punctual if now - tick.due <= ON_TIME]
    before = punctual[0].nominal if punctual else now + timedelta(microseconds=1)
    older: list[Tick] = []
    if count and not (catch_up.policy == "Latest" and punctual):
        begin = max(anchor, now - timedelta(seconds=catch_up.window_seconds))
        # One more than is wanted for the tick that jitter still holds back.
        candidates = last_ticks(calendar, begin, before - timedelta(microseconds=1), count + 1)
        older = [tick for tick in candidates if tick.due <= now][-count:]
    run = [tick for tick in older + punctual if tick.nominal not in recorded]
    if spec.starting_deadline_seconds is not None:
        deadline = timedelta(seconds=spec.starting_deadline_seconds)
        run = [tick for tick in run if now - tick.due <= deadline]
    chosen = {tick.nominal for tick in run}
    lost = [
        tick
        for tick in islice(ticks(calendar, anchor, now), MOST_MISSED)
        if tick.due <= now and tick.nominal not in chosen and tick.nominal not in recorded
    ]
    if not lost:
        return run, None
    return run, Missed(len(lost), lost[-1].nominal)


def _due_now(calendar: Calendar, now: datetime, planned: Iterable[datetime]) -> list[Tick]:
    """Ticks that jitter was holding back, and that an edit has made due."""
    found = (tick for nominal in planned if nominal <= now for tick in ticks(calendar, nominal - _SECOND, nominal))
    return [tick for tick in found if tick.due <= now]


def _ahead(calendar: Calendar, anchor: datetime, now: datetime, planned: Container[datetime]) -> list[Tick]:
    """Ticks that are due within the horizon. One whose nominal time is over may be held back by its jitter."""
    # Ticks keep their order: it can only be the last one.
    held_back = last_ticks(calendar, now - calendar.jitter, now, 1)
    coming = (
        tick
        for tick in chain(held_back, ticks(calendar, now, now + HORIZON))
        if tick.due > now and (tick.nominal > anchor or tick.nominal in planned)
    )
    return list(islice(coming, MOST_AHEAD))


def _handled(ahead: list[Tick], now: datetime) -> datetime:
    """All up to now, but for what jitter holds back: that is still to come, should Redis lose it."""
    if ahead and ahead[0].nominal <= now:
        return ahead[0].nominal - timedelta(seconds=1)
    return now


def _again(ahead: list[Tick], now: datetime) -> datetime:
    """Long before the last planned tick is due, and soon enough to tell what became of those that are."""
    times = [now + LONGEST_PAUSE]
    if ahead:
        times.append(ahead[0].due + timedelta(seconds=1))
    return max(min(times), now + timedelta(seconds=1))


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return moment(text)
    except ScheduleError:
        return None  # Somebody has written into the status by hand.
