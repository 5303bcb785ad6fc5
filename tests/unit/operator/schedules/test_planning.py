"""What is planned, caught up, taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.schedules.calendars import UID, job_schedule, utc

from jobyard_operator.core.schedules import (
    Calendar,
    Enqueue,
    Missed,
    Plan,
    Recorded,
    ScheduleError,
    Seen,
    TakeBack,
    digest,
    is_news,
    job_id,
    new_status,
    plan,
    taken_back,
    ticks,
)
from jobyard_operator.core.schedules.planning import HORIZON, MOST_AHEAD, Idle
from jobyard_operator.core.schedules.seen import State
from jobyard_operator.resources import JobSchedule

NOON = utc("2026-11-24T12:00:00")
HOURLY: dict[str, Any] = {"schedules": ["0 * * * *"]}
MINUTELY: dict[str, Any] = {"schedules": ["* * * * *"]}


def recorded(schedule: JobSchedule, nominal: datetime, state: State = "Planned", **more: Any) -> Recorded:
    due = next(ticks(Calendar.of(schedule.spec, UID), nominal - timedelta(seconds=1), nominal)).due
    run = Recorded(
        nominal=nominal, due=due, job_id=job_id(UID, nominal), digest=digest(schedule), state=state, ended=None
    )
    return replace(run, **more)


def handled(time: datetime) -> dict[str, Any]:
    """The status of a schedule that was dealt with up to a time."""
    return {"observedGeneration": 1, "handledTime": time.strftime("%Y-%m-%dT%H:%M:%SZ")}


def enqueued(made: Plan, *, late: bool | None = None) -> list[str]:
    return [
        effect.tick.nominal.strftime("%H:%M:%S")
        for effect in made.effects
        if isinstance(effect, Enqueue) and late in (None, effect.late)
    ]


def missed(made: Plan) -> int:
    return sum(effect.count for effect in made.effects if isinstance(effect, Missed))


def test_ticks_within_the_horizon_are_planned_ahead() -> None:
    made = plan(job_schedule(handled(NOON), **MINUTELY), Seen(now=NOON))
    assert enqueued(made, late=False) == [f"12:{minute:02}:00" for minute in range(1, 11)]
    assert enqueued(made, late=True) == []
    assert made.upcoming[0] == NOON + timedelta(minutes=1)
    assert len(made.upcoming) == 5


def test_what_is_planned_already_is_left_alone() -> None:
    schedule = job_schedule(handled(NOON), **MINUTELY)
    known = tuple(recorded(schedule, NOON + timedelta(minutes=minute)) for minute in range(1, 11))
    assert plan(schedule, Seen(now=NOON, runs=known)).effects == ()
    later = plan(schedule, Seen(now=NOON + timedelta(seconds=90), runs=known))
    assert enqueued(later) == ["12:11:00"]


def test_not_more_than_so_many_are_planned() -> None:
    made = plan(job_schedule(handled(NOON), schedules=["* * * * * *"]), Seen(now=NOON))
    assert len(enqueued(made)) == MOST_AHEAD


def test_another_template_replaces_planned_jobs() -> None:
    schedule = job_schedule(handled(NOON), **HOURLY)
    at_one = NOON + timedelta(hours=1)
    known = recorded(schedule, at_one, digest="another")
    made = plan(schedule, Seen(now=at_one - timedelta(minutes=5), runs=(known,)))
    assert [type(effect) for effect in made.effects] == [TakeBack, Enqueue]


@pytest.mark.parametrize("change", [{"suspend": True}, {"schedules": ["30 * * * *"]}, {"exclude": ["* 13 * * *"]}])
def test_what_is_not_wanted_any_more_is_taken_back(change: dict[str, Any]) -> None:
    at_one = NOON + timedelta(hours=1)
    known = recorded(job_schedule(**HOURLY), at_one)
    made = plan(
        job_schedule(handled(NOON), generation=2, **HOURLY | change),
        Seen(now=NOON + timedelta(minutes=55), runs=(known,)),
    )
    assert made.effects == (TakeBack(known),)


def test_what_is_due_is_not_taken_back() -> None:
    known = recorded(job_schedule(**HOURLY), NOON)
    seen = Seen(now=NOON, runs=(known,))
    assert plan(job_schedule(handled(NOON), generation=2, suspend=True, **HOURLY), seen).effects == ()
    assert taken_back(seen) == ()
    assert taken_back(replace(seen, now=NOON - timedelta(seconds=1))) == (TakeBack(known),)


# Catching up --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("catch_up", "expected", "count"),
    [
        ({"policy": "None"}, [], 4),
        ({"policy": "Latest"}, ["12:00:00"], 3),
        ({"policy": "All"}, ["09:00:00", "10:00:00", "11:00:00", "12:00:00"], 0),
        ({"policy": "All", "maxRuns": 2}, ["11:00:00", "12:00:00"], 2),
        ({"policy": "All", "windowSeconds": 7200}, ["11:00:00", "12:00:00"], 2),
        ({"policy": "Latest", "windowSeconds": 60}, [], 4),
    ],
)
def test_what_was_missed(catch_up: dict[str, Any], expected: list[str], count: int) -> None:
    schedule = job_schedule(handled(NOON - timedelta(hours=4)), catchUp=catch_up, **HOURLY)
    made = plan(schedule, Seen(now=NOON + timedelta(minutes=10)))
    assert enqueued(made, late=True) == expected
    assert missed(made) == count


def test_a_tick_of_just_now_is_not_missed() -> None:
    schedule = job_schedule(handled(NOON - timedelta(hours=4)), catchUp={"policy": "None"}, **HOURLY)
    made = plan(schedule, Seen(now=NOON + timedelta(seconds=3)))
    assert enqueued(made, late=True) == ["12:00:00"]
    # It is the latest one.
    latest = job_schedule(handled(NOON - timedelta(hours=4)), **HOURLY)
    assert enqueued(plan(latest, Seen(now=NOON + timedelta(seconds=3))), late=True) == ["12:00:00"]


def test_a_starting_deadline_holds_for_what_is_caught_up() -> None:
    options = {"catchUp": {"policy": "All"}, "startingDeadlineSeconds": 5400, **HOURLY}
    made = plan(job_schedule(handled(NOON - timedelta(hours=4)), **options), Seen(now=NOON + timedelta(minutes=10)))
    assert enqueued(made, late=True) == ["11:00:00", "12:00:00"]


def test_time_before_it_was_created_is_not_caught_up() -> None:
    made = plan(job_schedule(**HOURLY), Seen(now=utc("2026-11-01T00:30:00")))
    assert made.effects == ()
    past = job_schedule(schedules=["2026-10-01T00:00:00Z"])
    assert plan(past, Seen(now=NOON)).idle is Idle.ENDED


def test_time_before_an_edit_is_not_caught_up() -> None:
    made = plan(
        job_schedule(handled(NOON - timedelta(hours=4)), generation=2, **HOURLY), Seen(now=NOON + timedelta(minutes=10))
    )
    assert made.effects == ()


def test_suspended_time_is_not_caught_up() -> None:
    before = job_schedule(handled(NOON - timedelta(hours=4)), suspend=True, **HOURLY)
    seen = Seen(now=NOON - timedelta(hours=4))
    status = new_status(before, seen, plan(before, seen))
    assert {condition.type: condition.status for condition in status.conditions}["Suspended"] == "True"
    after = job_schedule(status.model_dump(by_alias=True), **HOURLY)
    assert plan(after, Seen(now=NOON + timedelta(minutes=10))).effects == ()


def test_an_emptied_redis_fires_nothing_that_the_status_knows() -> None:
    status = {"observedGeneration": 1, "lastScheduleTime": NOON.strftime("%Y-%m-%dT%H:%M:%SZ")}
    made = plan(job_schedule(status, catchUp={"policy": "All"}, **HOURLY), Seen(now=NOON + timedelta(minutes=10)))
    assert made.effects == ()


def test_a_lost_status_fires_nothing_that_redis_knows() -> None:
    made = plan(job_schedule(catchUp={"policy": "All"}, **HOURLY), Seen(now=NOON + timedelta(minutes=10), newest=NOON))
    assert made.effects == ()


def test_a_tick_that_jitter_holds_back_is_not_lost() -> None:
    schedule = job_schedule(handled(NOON - timedelta(minutes=5)), jitterSeconds=3000, **HOURLY)
    first = plan(schedule, Seen(now=NOON + timedelta(seconds=1)))
    [effect] = first.effects
    assert isinstance(effect, Enqueue)
    assert effect.tick.due > NOON + timedelta(seconds=1)
    assert first.handled < NOON
    # Later it is neither planned twice nor taken back.
    seen = Seen(now=NOON + timedelta(seconds=5), runs=(recorded(schedule, NOON),))
    later = job_schedule(handled(first.handled), jitterSeconds=3000, **HOURLY)
    assert plan(later, seen).effects == ()


def test_a_tick_that_jitter_held_back_runs_when_an_edit_makes_it_due() -> None:
    before = job_schedule(jitterSeconds=3000, **HOURLY)
    now = NOON + timedelta(seconds=5)
    seen = Seen(now=now, runs=(recorded(before, NOON),))
    made = plan(job_schedule(handled(NOON - timedelta(hours=1)), generation=2, **HOURLY), seen)
    assert [type(effect) for effect in made.effects] == [TakeBack, Enqueue]
    assert enqueued(made, late=True) == ["12:00:00"]


def test_a_schedule_of_which_nothing_is_left_is_no_endless_search() -> None:
    with pytest.raises(ScheduleError, match="exclude takes away 200,000 times in a row"):
        plan(job_schedule(handled(NOON), exclude=["* * * * *"], **MINUTELY), Seen(now=NOON))
    weekend = job_schedule(handled(NOON), schedules=["* * * * * *"], exclude=["* * * * SAT,SUN"])
    saturday = utc("2026-11-28T00:00:00")
    assert plan(weekend, Seen(now=saturday, newest=saturday)).upcoming[0] == utc("2026-11-30T00:00:00")


# Limits -------------------------------------------------------------------------------------------------------------


def test_a_run_limit() -> None:
    schedule = job_schedule(handled(NOON), runLimit=5, **MINUTELY)
    assert enqueued(plan(schedule, Seen(now=NOON, fired=3))) == ["12:01:00", "12:02:00"]
    over = plan(schedule, Seen(now=NOON, fired=5))
    assert over.effects == ()
    assert over.idle is Idle.RUN_LIMIT


def test_a_run_limit_counts_what_is_planned() -> None:
    schedule = job_schedule(handled(NOON), runLimit=5, **MINUTELY)
    known = (recorded(schedule, NOON + timedelta(minutes=1)),)
    assert enqueued(plan(schedule, Seen(now=NOON, fired=3, runs=known))) == ["12:02:00"]


def failed(schedule: JobSchedule, count: int) -> tuple[Recorded, ...]:
    return tuple(
        recorded(schedule, time, "Failed", ended=time)
        for time in (NOON - timedelta(hours=at) for at in range(1, count + 1))
    )


def test_failures_pause_it_until_it_is_changed() -> None:
    schedule = job_schedule(handled(NOON), pauseAfterFailures=3, **HOURLY)
    seen = Seen(now=NOON, newest=NOON - timedelta(hours=1), runs=failed(schedule, 3))
    assert plan(schedule, seen).idle is Idle.FAILURES
    status = new_status(schedule, seen, plan(schedule, seen))
    assert {condition.type: condition.status for condition in status.conditions}["Ready"] == "False"

    fixed = job_schedule(status.model_dump(by_alias=True), generation=2, pauseAfterFailures=3, **HOURLY)
    assert plan(fixed, seen).idle is None
    again = new_status(fixed, seen, plan(fixed, seen))
    later = job_schedule(again.model_dump(by_alias=True), generation=2, pauseAfterFailures=3, **HOURLY)
    assert plan(later, seen).idle is None


def test_a_success_between_failures_counts() -> None:
    schedule = job_schedule(handled(NOON), pauseAfterFailures=2, **HOURLY)
    first, *others = failed(schedule, 3)
    well = replace(others[0], state="Succeeded")
    assert plan(schedule, Seen(now=NOON, newest=NOON, runs=(first, well, others[1]))).idle is None


def test_what_cannot_be_understood() -> None:
    with pytest.raises(ScheduleError, match="Feb has no day 31"):
        plan(job_schedule(schedules=["0 0 31 2 *"]), Seen(now=NOON))
    with pytest.raises(ScheduleError, match="no time zone"):
        plan(job_schedule(timeZone="Europe/Atlantis"), Seen(now=NOON))


# Status -------------------------------------------------------------------------------------------------------------


def test_the_status_tells_what_happened() -> None:
    schedule = job_schedule(handled(NOON), successfulRunsHistoryLimit=1, failedRunsHistoryLimit=2, **HOURLY)
    hours = [NOON - timedelta(hours=at) for at in range(5)]
    seen = Seen(
        now=NOON,
        newest=NOON,
        runs=(
            recorded(schedule, hours[0], "Running"),
            recorded(schedule, hours[1], "Succeeded", ended=hours[1]),
            recorded(schedule, hours[2], "Succeeded", ended=hours[2]),
            recorded(schedule, hours[3], "Failed", ended=hours[3]),
            recorded(schedule, hours[4], "Skipped"),
        ),
        fired=5, succeeded=2, failed=1, skipped=1,
    )  # fmt: skip
    status = new_status(schedule, seen, plan(schedule, seen))
    assert status.last_schedule_time == "2026-11-24T12:00:00Z"
    assert status.last_successful_time == "2026-11-24T11:00:00Z"
    assert status.next_schedule_times[0] == "2026-11-24T13:00:00Z"
    assert (status.active_runs, status.active[0].outcome) == (1, "Running")
    assert [run.outcome for run in status.recent_runs] == ["Succeeded", "Failed", "Skipped"]
    assert status.counters.model_dump() == {
        "fired": 5, "succeeded": 2, "failed": 1, "cancelled": 0, "skipped": 1, "missed": 0,
    }  # fmt: skip
    later = schedule.model_copy(update={"status": status})
    unchanged = new_status(later, seen, plan(later, seen))
    assert not is_news(status, unchanged)


def test_an_unreachable_redis_keeps_what_is_known() -> None:
    schedule = job_schedule(handled(NOON) | {"lastScheduleTime": "2026-11-24T11:00:00Z"}, generation=2, **HOURLY)
    status = new_status(schedule, None, None, error="Connection refused")
    conditions = {condition.type: condition for condition in status.conditions}
    assert (conditions["Ready"].status, conditions["Suspended"].status) == ("False", "Unknown")
    assert "Connection refused" in conditions["Ready"].message
    assert status.last_schedule_time == "2026-11-24T11:00:00Z"
    assert status.observed_generation == 1


# What holds always --------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "@every 90s", "*/20 * * * * *"]),
    st.sampled_from(["None", "Latest", "All"]),
    st.integers(0, 600),
    st.lists(st.integers(0, 3000), min_size=1, max_size=12),
)
def test_whenever_somebody_looks_no_tick_fires_twice_or_too_late(
    text: str, policy: str, jitter: int, pauses: list[int]
) -> None:
    """A Redis that does as it is told, and an operator that looks at random times."""
    spec = {
        "schedules": [text],
        "catchUp": {"policy": policy, "maxRuns": 3, "windowSeconds": 1200},
        "jitterSeconds": jitter,
    }
    schedule = job_schedule(handled(NOON), **spec)
    calendar = Calendar.of(schedule.spec, UID)
    known: dict[datetime, Recorded] = {}
    now, counted = NOON, 0
    for pause in [0, *pauses]:
        now += timedelta(seconds=pause)
        due = [run.nominal for run in known.values() if run.due <= now]
        states = {
            run.nominal: replace(run, state="Planned" if run.due > now else "Succeeded") for run in known.values()
        }
        seen = Seen(
            now=now, runs=tuple(states[at] for at in sorted(states)), newest=max(due, default=None), fired=len(due)
        )
        made = plan(schedule, seen)
        for effect in made.effects:
            if isinstance(effect, Enqueue):
                assert effect.tick.nominal not in known
                assert effect.tick.due <= now + HORIZON + timedelta(seconds=jitter)
                assert not effect.late or now - effect.tick.due <= timedelta(seconds=1200 + jitter)
                known[effect.tick.nominal] = recorded(schedule, effect.tick.nominal)
            assert not isinstance(effect, TakeBack)
        schedule = schedule.model_copy(update={"status": new_status(schedule, seen, made)})
        counted = schedule.status.counters.missed
    every = [tick for tick in ticks(calendar, NOON, now) if tick.due <= now]
    assert len(every) == counted + len([run for run in known.values() if run.due <= now])
    if max(pauses) < HORIZON.total_seconds():
        assert counted == 0
