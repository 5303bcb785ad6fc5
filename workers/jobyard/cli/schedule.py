"""`jobyard schedule`: when a schedule fires, and what queues know of the schedules that put jobs into them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from jobyard.broker import JobyardBroker
from jobyard.broker.schedules import LIVE, QueueSchedule
from jobyard.cli.app import app
from jobyard.cli.connection import connected, fail, queue_names, say
from jobyard.cli.durations import say_duration
from jobyard.cli.facts import moment_and_when, when
from jobyard.cli.output import Format, Output, show_facts, show_table, show_value
from jobyard.cli.statuses import Status
from jobyard.cli.values import duration
from jobyard.presentation import iso, schedule_values
from jobyard_operator.core.schedules.cron import ScheduleError
from jobyard_operator.core.schedules.expressions import moment, parse, parse_exclusion
from jobyard_operator.core.schedules.notes import note
from jobyard_operator.core.schedules.ticks import Calendar, Tick, milliseconds, next_ticks
from jobyard_operator.core.schedules.walls import Dst, zone

schedule = typer.Typer(help="See when schedules fire, and what became of their jobs.", no_args_is_help=True)
app.add_typer(schedule, name="schedule")

_MOST: Final = 1000

_PREVIEW_HELP = """
When a schedule fires next, and what changed clocks do to it. Needs neither Redis nor Kubernetes.

\b
  jobyard schedule preview '30 2 * * *' --time-zone Europe/Berlin
  jobyard schedule preview '0 9 * * MON-FRI' --exclude 2026-12-24/2026-12-31 --count 20
  jobyard schedule preview '0 0 L * *' '@every 6h' --from 2026-03-01T00:00:00Z
  jobyard schedule preview '30 2 * * *' --time-zone Europe/Berlin --from 2026-10-24T00:00:00Z --overlap Both

\b
What it understands
  30 2 * * *           minute, hour, day of month, month, day of week; with seconds before them if there are six
  MON-FRI, JAN, L, FRI#2, FRIL, */5, 1,15     names, the last day, the second or last Friday, steps, lists
  @hourly, @daily, @weekly, @monthly, @yearly, @every 5m
  2026-12-24T18:00:00+01:00                   one time
"""

_LIST_HELP = """
The schedules that have put jobs into queues: what is planned, what runs, how often it failed.

\b
  jobyard schedule list
  jobyard schedule list --queue reports -o json

It shows what is in Redis. Schedules that have not fired yet, suspended ones, and why one doesn't fire: kubectl get jobschedules.
"""

_SHOW_HELP = """
One schedule: its planned ticks, and what became of its last runs.

\b
  jobyard schedule show nightly
  jobyard schedule show shop/nightly --queue reports -o json
"""

_RUN_HELP = """
How a schedule is run once, now. That is Kubernetes' to do, since the JobSchedule says what its job is:

\b
  jobyard schedule run nightly        shows the command that does it
  kubectl annotate jobschedule nightly jobyard.dev/run-now="$(date +%s)" --overwrite
"""

Name = Annotated[
    str, typer.Argument(metavar="NAME", show_default=False, help="With or without its namespace, or the uid.")
]
OfQueue = Annotated[str | None, typer.Option("--queue", metavar="NAME", help="Only of this queue.")]


@schedule.command(help=_PREVIEW_HELP)
def preview(
    expressions: Annotated[list[str], typer.Argument(metavar="CRON...", show_default=False)],
    time_zone: Annotated[str, typer.Option("--time-zone", "-z", metavar="ZONE", help="As in Europe/Berlin.")] = "Etc/UTC",
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=_MOST, help="How many to show.")] = 10,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From then on, instead of now: 2026-03-28T00:00:00Z.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="CRON", help="Not then. May be repeated.")] = None,
    gap: Annotated[str, typer.Option(metavar="RunAfter|Skip", help="Times of day that changed clocks skip.")] = "RunAfter",
    overlap: Annotated[str, typer.Option(metavar="First|Both", help="Times of day that come twice.")] = "First",
    jitter: Annotated[int, typer.Option(metavar="5m", parser=duration, help="Spread over so long.")] = "0s",  # type: ignore[assignment]
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    if gap not in ("RunAfter", "Skip"):
        fail(f"--gap is RunAfter or Skip, not {gap[:40]!r}", Status.USAGE)
    if overlap not in ("First", "Both"):
        fail(f"--overlap is First or Both, not {overlap[:40]!r}", Status.USAGE)
    try:
        calendar = Calendar(
            tuple(parse(text) for text in expressions),
            tuple(parse_exclusion(text) for text in exclude or ()),
            zone(time_zone),
            Dst(run_after=gap == "RunAfter", both=overlap == "Both"),
            jitter=timedelta(milliseconds=jitter),
        )
        begin = datetime.now(UTC) if start is None else moment(start)
        ticks = next_ticks(calendar, begin, count)
    except ScheduleError as error:
        fail(str(error), Status.USAGE)
    if output is not Format.TABLE:
        show_value([_tick_values(calendar, tick) for tick in ticks], output)
        return
    late = (">JITTER",) if jitter else ()
    show_table(
        ("TIME", "UTC", "IN", *late, "NOTE"),
        [
            (
                tick.nominal.astimezone(calendar.where).strftime("%a %Y-%m-%d %H:%M:%S %Z"),
                tick.nominal.strftime("%Y-%m-%d %H:%M:%S"),
                say_duration((tick.nominal - begin).total_seconds() * 1000),
                *((say_duration((tick.due - tick.nominal).total_seconds() * 1000),) if jitter else ()),
                note(calendar, tick),
            )
            for tick in ticks
        ],
        none="It never fires again.",
    )
    if jitter and ticks:
        say("The jitter of a JobSchedule follows from its uid: it will be another one, and always the same.")


@schedule.command("list", help=_LIST_HELP)
def list_schedules(queue: OfQueue = None, output: Output = Format.TABLE) -> None:
    with connected() as broker:
        found = _all(broker, queue)
    if output is not Format.TABLE:
        show_value([schedule_values(one) for one in found], output)
        return
    show_table(
        ("NAME", "QUEUE", "SCHEDULE", "ZONE", "LAST", "NEXT", ">RUNNING", ">OK", ">FAILED", ">SKIPPED"),
        [
            (
                one.name,
                one.queue,
                ", ".join(map(str, one.info.get("schedules", []))),
                one.info.get("timeZone"),
                when(max((run.nominal for run in one.runs if run.due <= one.now), default=None)),
                when(min((run.due for run in one.runs if run.state == "Planned"), default=None)),
                sum(run.state in LIVE and run.state != "Planned" for run in one.runs),
                one.counts["succeeded"],
                one.counts["failed"],
                one.counts["skipped"],
            )
            for one in found
        ],
        none="No schedule has put a job into a queue yet. kubectl get jobschedules shows all that there are.",
    )


@schedule.command(help=_SHOW_HELP)
def show(
    name: Name,
    queue: OfQueue = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=_MOST, help="How many runs to show.")] = 20,
    output: Output = Format.TABLE,
) -> None:
    with connected() as broker:
        one = _find(broker, name, queue)
    if output is not Format.TABLE:
        show_value({**schedule_values(one), "runs": schedule_values(one)["runs"][-count:]}, output)
        return
    show_facts(
        [
            ("name", one.name),
            ("uid", one.uid),
            ("queue", one.queue),
            ("actor", one.info.get("actor")),
            ("schedules", ", ".join(map(str, one.info.get("schedules", [])))),
            ("time zone", one.info.get("timeZone")),
            ("overlaps", one.info.get("overlapPolicy")),
            *((name, value) for name, value in one.counts.items()),
        ]
    )
    typer.echo()
    show_table(
        ("TIME", "OUTCOME", "JOB", "DUE", "ENDED", "BY HAND"),
        [
            (iso(run.nominal), run.state, run.job_id, moment_and_when(run.due), when(run.ended_at), run.token or None)
            for run in one.runs[-count:]
        ],
        none="Nothing is recorded of it.",
    )


@schedule.command(help=_RUN_HELP)
def run(name: Name, queue: OfQueue = None) -> None:
    with connected() as broker:
        one = _find(broker, name, queue)
    space = f" -n {one.info['namespace']}" if one.info.get("namespace") else ""
    fail(
        "what a schedule runs is said by its JobSchedule, which is in Kubernetes and not in Redis. This runs it: "
        f'kubectl annotate jobschedule {one.info.get("name", name)}{space} jobyard.dev/run-now="$(date +%s)" --overwrite',
        Status.NO,
    )


def _all(broker: JobyardBroker, queue: str | None) -> list[QueueSchedule]:
    return sorted(
        (one for each in queue_names(broker, queue) for one in broker.schedules.list(each)),
        key=lambda one: (one.name, one.queue),
    )


def _find(broker: JobyardBroker, name: str, queue: str | None) -> QueueSchedule:
    found = [one for one in _all(broker, queue) if name in (one.name, one.info.get("name"), one.uid)]
    if not found:
        fail(
            f"no schedule called {name[:200]!r} has put a job into a queue yet; kubectl get jobschedules shows all "
            "that there are",
            Status.UNKNOWN,
        )
    if len(found) > 1:
        several = ", ".join(f"{one.name} in queue {one.queue}" for one in found[:10])
        fail(f"{name[:200]!r} could be {several}: say which, with its namespace or --queue", Status.USAGE)
    return found[0]


def _tick_values(calendar: Calendar, tick: Tick) -> dict[str, Any]:
    return {
        "nominal_time": iso(milliseconds(tick.nominal)),
        "local_time": tick.nominal.astimezone(calendar.where).isoformat(),
        "due_time": iso(milliseconds(tick.due)),
        "note": note(calendar, tick) or None,
    }
