"""JobSchedule: when jobs are enqueued, and which."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from jobyard_operator.resources.jobqueue import DNS_NAME, Commands
from jobyard_operator.resources.meta import API_VERSION, Conditions, Count, Int32, Metadata, Model, Time, rule, rules

#: Cron with or without seconds, @name, or a time. What it means in detail is checked by the operator.
_CRON = r"([^\s@]+\s+){4,5}[^\s@]+"
_NAMED = r"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every\s+([0-9]+[wdhms])+)"
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
_DATES = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(/[0-9]{4}-[0-9]{2}-[0-9]{2})?"

Schedule = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        json_schema_extra=rules(
            rule(
                rf"self.matches(r'^\s*({_CRON}|{_NAMED}|{_MOMENT})\s*$')",
                "a schedule is a cron expression with 5 fields (6 with seconds), @hourly and its like, @every 5m, or a time "
                "with its offset such as 2026-12-24T18:00:00+01:00",
            ),
            rule("!self.contains('TZ=')", "the time zone does not belong into the schedule: use timeZone"),
        ),
    ),
]
Exclusion = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        json_schema_extra=rules(
            rule(
                rf"self.matches(r'^\s*({_CRON}|@(yearly|annually|monthly|weekly|daily|midnight|hourly)|{_MOMENT}|{_DATES})\s*$')",
                "an exclusion is a cron expression, a date (2026-12-24), dates (2026-12-24/2026-12-31), or a time with its "
                "offset",
            ),
        ),
    ),
]
Seconds = Annotated[Int32, Field(ge=0, le=31_622_400)]


class CatchUp(Model):
    """What becomes of ticks that were missed: nobody was there who could have enqueued their jobs."""

    policy: Annotated[
        Literal["None", "Latest", "All"],
        Field(description="None: nothing. Latest: the last missed one runs now. All: the last maxRuns of them do."),
    ] = "Latest"
    window_seconds: Annotated[
        Int32, Field(ge=1, le=31_622_400, description="Those that are older are left aside in any case.")
    ] = 86_400
    max_runs: Annotated[Int32, Field(ge=1, le=1000, description="For All: so many at most, the newest ones.")] = 10


class ChangedClocks(Model):
    """What becomes of times of day that a change of the clocks skips or brings twice. Schedules whose minute or hour begins with
    `*` mean elapsed time and are not concerned."""

    gap: Annotated[
        Literal["RunAfter", "Skip"],
        Field(description="A time that is skipped: it runs once, as soon as the gap is over; or not on that day."),
    ] = "RunAfter"
    overlap: Annotated[
        Literal["First", "Both"], Field(description="A time that comes twice: it runs the first time; or both times.")
    ] = "First"


class QueueRef(Model):
    """A JobQueue in the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME, description="Name of the JobQueue.")]


class Template(Model):
    """The job that each tick enqueues."""

    actor: Annotated[str, Field(min_length=1, max_length=255, description="What it runs.")]
    args: Annotated[
        list[Any],
        Field(
            max_length=64,
            description="Positional arguments.",
            json_schema_extra={"items": {"x-kubernetes-preserve-unknown-fields": True}},
        ),
    ] = Field(default_factory=list)
    kwargs: Annotated[
        dict[str, Any] | None,
        Field(description="Arguments by name.", json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
    ] = None
    priority: Annotated[
        Int32 | None, Field(ge=0, le=100, description="0 to 100, the lower the sooner. Default: the actor's, or 5.")
    ] = None
    options: Annotated[
        dict[str, Any] | None,
        Field(
            description="What else a message may say: key, tags, deadline, max_retries and others, times in milliseconds. See "
            "docs/job-options.md and docs/limits.md.",
            json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
        ),
    ] = None


class JobScheduleSpec(Model):
    """When jobs are enqueued, and which."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.startTime) || !has(self.endTime) || timestamp(self.startTime) < timestamp(self.endTime)",
                "startTime must come before endTime",
            )
        )
    )

    schedules: Annotated[
        list[Schedule],
        Field(
            min_length=1,
            max_length=32,
            description="When: cron expressions (seconds come first if there are 6 fields), @hourly and its like, "
            "@every 5m, or times such as 2026-12-24T18:00:00+01:00. It fires at each time that one of them says, once.",
        ),
    ]
    exclude: Annotated[
        list[Exclusion],
        Field(
            max_length=64,
            description="When not: cron expressions (`* * 25 12 *` is a whole day), dates (2026-12-24, "
            "2026-12-24/2026-12-31) or times.",
        ),
    ] = Field(default_factory=list)
    time_zone: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$",
            description="Time zone of the tz database, for cron expressions and dates.",
        ),
    ] = "Etc/UTC"
    start_time: Annotated[Time | None, Field(description="No tick before this time. @every counts from it.")] = None
    end_time: Annotated[Time | None, Field(description="No tick after this time.")] = None
    jitter_seconds: Annotated[
        Int32,
        Field(
            ge=0,
            le=86_400,
            description="Each tick is late by some part of this, always the same one, and never as late as the next tick.",
        ),
    ] = 0
    suspend: Annotated[bool, Field(description="Nothing fires. What would have fired meanwhile is not caught up.")] = (
        False
    )
    starting_deadline_seconds: Annotated[
        Seconds | None,
        Field(
            ge=1,
            description="A job that has not started so long after its tick is due is not started: it becomes a dead letter.",
        ),
    ] = None
    catch_up: Annotated[CatchUp, Field(description="What becomes of missed ticks.")] = CatchUp()
    overlap_policy: Annotated[
        Literal["Allow", "Skip", "BufferOne", "Replace"],
        Field(
            description="When a tick is due and the job of an earlier one has not ended. Allow: both run. "
            "Skip: the new one does not. BufferOne: one waits until the earlier one has ended, further ones are skipped. "
            "Replace: the earlier one is cancelled."
        ),
    ] = "Allow"
    dst: Annotated[ChangedClocks, Field(description="What becomes of times when the clocks change.")] = ChangedClocks()
    run_limit: Annotated[Int32 | None, Field(ge=1, description="It fires so often, and then never again.")] = None
    pause_after_failures: Annotated[
        Int32 | None,
        Field(
            ge=1, le=100, description="After so many failed runs in a row nothing fires until the resource is changed."
        ),
    ] = None
    successful_runs_history_limit: Annotated[
        Int32, Field(ge=0, le=100, description="How many completed runs status.recentRuns shows.")
    ] = 3
    failed_runs_history_limit: Annotated[
        Int32, Field(ge=0, le=100, description="How many runs that failed, were cancelled or skipped it shows.")
    ] = 3
    queue_ref: Annotated[QueueRef, Field(description="The queue that gets the jobs, and the Redis that holds it.")]
    template: Annotated[Template, Field(description="The job that each tick enqueues.")]


Outcome = Literal["Planned", "Waiting", "Running", "Succeeded", "Failed", "Cancelled", "Skipped", "Unknown"]


class Run(Model):
    """One tick, or one run by hand, and what became of it."""

    nominal_time: Annotated[Time, Field(description="The tick's nominal time, or when the run was asked for.")]
    due_time: Annotated[Time | None, Field(description="With its part of the jitter.")] = None
    job_id: Annotated[str, Field(max_length=64, description="Id of its job.")]
    manual: Annotated[bool, Field(description="Whether it was run by hand.")] = False
    outcome: Annotated[
        Outcome,
        Field(
            description="Skipped: the overlap policy, or a unique job, stood in its way. Unknown: nobody looked in time."
        ),
    ]
    ended_time: Annotated[Time | None, Field(description="When it ended.")] = None


class Counters(Model):
    """Since the schedule was created."""

    fired: Annotated[Count, Field(description="Ticks that are recorded and due, and runs by hand.")] = 0
    succeeded: Annotated[Count, Field(description="Runs that completed.")] = 0
    failed: Annotated[Count, Field(description="Runs that became dead letters.")] = 0
    cancelled: Annotated[Count, Field(description="Runs that were cancelled.")] = 0
    skipped: Annotated[Count, Field(description="Ticks that overlapPolicy, or a unique job, has skipped.")] = 0
    missed: Annotated[
        Count, Field(description="Ticks that came too late to be run; at most a thousand are counted at once.")
    ] = 0


class JobScheduleStatus(Model):
    """What was seen last."""

    observed_generation: Annotated[
        int, Field(ge=0, description="The generation that was reconciled last.", json_schema_extra={"format": "int64"})
    ] = 0
    queue: Annotated[
        str | None, Field(max_length=128, description="The queue that its ticks are planned in; none yet: null.")
    ] = None
    last_schedule_time: Annotated[Time | None, Field(description="Nominal time of the last tick that has fired.")] = (
        None
    )
    last_successful_time: Annotated[Time | None, Field(description="When a run completed last.")] = None
    last_missed_time: Annotated[Time | None, Field(description="Nominal time of the last tick that was missed.")] = None
    handled_time: Annotated[
        Time | None, Field(description="Ticks up to this time are dealt with: none of them is caught up.")
    ] = None
    resumed_time: Annotated[
        Time | None, Field(description="Failures before this time do not count for pauseAfterFailures.")
    ] = None
    next_schedule_times: Annotated[
        list[Time], Field(max_length=5, description="Nominal times of the next ticks; none while nothing fires.")
    ] = Field(default_factory=list)
    active_runs: Annotated[Count, Field(description="How many runs have not ended.")] = 0
    active: Annotated[list[Run], Field(max_length=20, description="Runs that have not ended; the oldest ones.")] = (
        Field(default_factory=list)
    )
    recent_runs: Annotated[list[Run], Field(max_length=200, description="Runs that have ended, the newest first.")] = (
        Field(default_factory=list)
    )
    counters: Annotated[Counters, Field(description="Since the schedule was created.")] = Counters()
    commands: Commands = Field(default_factory=list)
    conditions: Conditions = Field(default_factory=list)


class JobSchedule(Model):
    """When jobs are enqueued, and which: each tick exactly once."""

    api_version: str = API_VERSION
    kind: Literal["JobSchedule"] = "JobSchedule"
    metadata: Metadata
    spec: JobScheduleSpec
    status: JobScheduleStatus = JobScheduleStatus()

    @classmethod
    def parse(cls, resource: dict[str, Any]) -> JobSchedule:
        """From what the API server gave.

        Raises:
            pydantic.ValidationError: the API server has let through what our schema forbids (an older CRD is installed).
        """
        return cls.model_validate(resource)
