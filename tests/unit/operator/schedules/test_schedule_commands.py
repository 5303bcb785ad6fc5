"""Commands by annotation: each value is handled once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.unit.operator.schedules.calendars import UID, job_schedule, utc

from jobyard_operator.core.schedules import Recorded, Seen, job_id, plan
from jobyard_operator.core.schedules.commands import RESUME, RUN_NOW, ScheduleCommand, handled, new_commands
from jobyard_operator.core.schedules.planning import Idle
from jobyard_operator.resources import JobSchedule

NOON = utc("2026-11-24T12:00:00")


def annotated(annotations: dict[str, str], **spec: Any) -> JobSchedule:
    schedule = job_schedule(**spec)
    return schedule.model_copy(update={"metadata": schedule.metadata.model_copy(update={"annotations": annotations})})


def test_a_value_is_handled_once() -> None:
    schedule = annotated({RUN_NOW: "1", "example.com/other": "2"})
    [command] = new_commands(schedule)
    assert command == ScheduleCommand(RUN_NOW, "1")
    status = handled(schedule.status, command, NOON, job_id="some-job")
    assert (status.commands[0].outcome, status.commands[0].message) == ("Succeeded", "It runs as job some-job.")
    assert new_commands(schedule.model_copy(update={"status": status})) == []
    again = annotated({RUN_NOW: "2"}).model_copy(update={"status": status})
    [second] = new_commands(again)
    assert len(handled(status, second, NOON, problem="the template makes no job").commands) == 1


def test_resume_forgives_failures() -> None:
    schedule = annotated({RESUME: "now"}, schedules=["0 * * * *"], pauseAfterFailures=1)
    failed = Recorded(
        nominal=NOON - timedelta(hours=1), due=NOON - timedelta(hours=1), digest="x", state="Failed", ended=NOON,
        job_id=job_id(UID, NOON - timedelta(hours=1)),
    )  # fmt: skip
    seen = Seen(now=NOON, runs=(failed,), newest=failed.nominal)
    assert plan(schedule, seen).idle is Idle.FAILURES
    [command] = new_commands(schedule)
    resumed = schedule.model_copy(update={"status": handled(schedule.status, command, NOON)})
    assert plan(resumed, seen).idle is None
    later = replace(failed, nominal=NOON + timedelta(hours=1), ended=NOON + timedelta(hours=1))
    assert plan(resumed, replace(seen, runs=(failed, later), now=NOON + timedelta(hours=2))).idle is Idle.FAILURES
