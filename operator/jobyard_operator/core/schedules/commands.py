"""Commands that come as annotations of a JobSchedule.

    jobyard.dev/run-now: "1764000000"     run it once, now; any text that is another one than the last time
    jobyard.dev/resume: "1764000000"      failures so far don't count any more for pauseAfterFailures

Each value is handled once, and recorded in `status.commands`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from jobyard_operator.core.commands import LONGEST, is_new
from jobyard_operator.core.schedules.status import rfc3339
from jobyard_operator.resources.jobqueue import CommandStatus
from jobyard_operator.resources.jobschedule import JobSchedule, JobScheduleStatus

RUN_NOW: Final = "jobyard.dev/run-now"
RESUME: Final = "jobyard.dev/resume"


@dataclass(frozen=True, slots=True)
class ScheduleCommand:
    """A command that was not handled yet; `token` is the annotation's value."""

    annotation: Literal["jobyard.dev/run-now", "jobyard.dev/resume"]
    token: str


def new_commands(schedule: JobSchedule) -> list[ScheduleCommand]:
    """What is to be done before the schedule is planned, in this order."""
    handled = {one.annotation: one.token for one in schedule.status.commands}
    found: list[ScheduleCommand] = []
    for annotation in (RESUME, RUN_NOW):
        value = schedule.metadata.annotations.get(annotation)
        if value and is_new(value, handled.get(annotation)):
            found.append(ScheduleCommand(annotation, value[:LONGEST]))
    return found


def handled(
    status: JobScheduleStatus,
    command: ScheduleCommand,
    now: datetime,
    *,
    job_id: str | None = None,
    problem: str | None = None,
) -> JobScheduleStatus:
    """The status with the command's outcome.

    Args:
        job_id: of the job that `run-now` has made.
        problem: why it could not be done.
    """
    message = problem or ("Failures before this do not count." if job_id is None else f"It runs as job {job_id}.")
    one = CommandStatus(
        annotation=command.annotation,
        token=command.token,
        outcome="Failed" if problem else "Succeeded",
        changed=0 if job_id is None or problem else 1,
        message=message[:1024],
        finished_time=rfc3339(now),
    )
    others = [other for other in status.commands if other.annotation != command.annotation]
    resumed = {"resumed_time": rfc3339(now)} if command.annotation == RESUME and not problem else {}
    return status.model_copy(update={"commands": [*others, one], **resumed})
