"""`jobyard job`: look at jobs, cancel them, try them again, wait for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from jobyard.broker import JobyardBroker
from jobyard.broker.filters import JobFilter
from jobyard.broker.inspector import Job
from jobyard.cli import choosing
from jobyard.cli.app import app
from jobyard.cli.connection import connected, fail, find_job, queue_names, say, unknown_job
from jobyard.cli.facts import (
    arguments_of,
    explanation_values,
    job_values,
    last_error,
    log_line,
    log_values,
    moment_and_when,
    when,
)
from jobyard.cli.harmless import harmless, json_text
from jobyard.cli.output import Format, Output, show_facts, show_table, show_value
from jobyard.cli.statuses import Status
from jobyard.cli.values import duration
from jobyard.presentation import STATUS, result_of

_PAGE: Final = 500
#: Seconds between two looks at the log of a job that is followed: its worker sends lines at most so often.
_LOOK: Final = 0.5

job = typer.Typer(help="Look at jobs, cancel them, try them again, wait for them, explain them.", no_args_is_help=True)
app.add_typer(job, name="job")

JobId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
QueueOption = Annotated[
    str | None, typer.Option("--queue", "-q", metavar="NAME", help="The job's queue. Default: the first that knows it.")
]


@job.command()
def show(job_id: JobId, queue: QueueOption = None, output: Output = Format.TABLE) -> None:
    """Everything about a job: where it is, its arguments, attempts, errors, progress and result.

    \b
      jobyard job show ID
      jobyard job show ID -o json
    """
    with connected() as broker:
        show_job(_existing(broker, job_id, queue), output)


_LIST_HELP = """
Jobs: running ones first, waiting ones in the order in which they start, ended ones newest first.

\b
  jobyard job list --queue emails --state waiting --limit 200
  jobyard job list --actor send_email --arg to=ada@example.org --since 2h
  jobyard job list --tag customer-7 -o json
  jobyard job list --state failed --error SMTPServerDisconnected

All that is given must fit. By tag a list is quick, however many jobs there are; otherwise each job of the queue
and state is looked at.
"""
_EXPLAIN_HELP = """
Where a job is, why, which limit or worker it waits for and until when, and what can be done.

\b
  jobyard job explain ID
  jobyard job explain ID -o json         with all the facts that this rests on
"""
_LOGS_HELP = """
What a job has logged, in all its attempts. The newest 200 lines are kept.

\b
  jobyard job logs ID
  jobyard job logs ID --follow           until it has ended
"""


@job.command("list", help=_LIST_HELP)
def list_jobs(
    queue: choosing.Queue = None, state: choosing.State = None, actor: choosing.Actor = None, tag: choosing.Tag = None,
    error: choosing.Error = None, group: choosing.Group = None, arguments: choosing.Arguments = None,
    text: choosing.Containing = None, since: choosing.Since = None, until: choosing.Until = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="No more than so many.")] = 50,
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    with connected() as broker:
        which = choosing.chosen(
            broker, queue=queue, state=state, actor=actor, tag=tag, error=error, group=group, arguments=arguments,
            text=text, since=since, until=until,
        )  # fmt: skip
        found = _found(broker, which, limit + 1)
        show_jobs(found[:limit], output, none="No job fits.")
        if len(found) > limit and output is Format.TABLE:
            say(f"There are more than these {limit}: see --limit.")


@job.command(help=_EXPLAIN_HELP)
def explain(job_id: JobId, queue: QueueOption = None, output: Output = Format.TABLE) -> None:
    with connected() as broker:
        if queue is not None:
            queue_names(broker, queue)
        found = broker.inspector.explain(harmless(job_id), queue)
    if output is not Format.TABLE:
        show_value(explanation_values(found), output)
    else:
        show_facts(
            [
                ("Job", found.job_id),
                ("State", None if found.state is None else f"{STATUS[found.state]} in queue {found.queue}"),
                ("Since", moment_and_when(found.since)),
                ("Why", found.sentence),
                ("Reason", str(found.reason)),
                ("What to do", found.advice),
            ]
        )
    if found.state is None:
        raise typer.Exit(Status.UNKNOWN)


@job.command(help=_LOGS_HELP)
def logs(
    job_id: JobId,
    queue: QueueOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show what comes, until the job has ended.")] = False,
    output: Output = Format.TABLE,
) -> None:
    with connected() as broker:
        found = _existing(broker, job_id, queue)
        if output is not Format.TABLE:
            if follow:
                fail("--follow is for people: leave -o away", Status.USAGE)
            kept = broker.inspector.logs(job_id, found.queue)
            show_value(
                {"job_id": job_id, "dropped": kept.dropped, "lines": [log_values(line) for line in kept]}, output
            )
            return
        shown = 0
        while True:
            now = broker.inspector.job(job_id, queue=found.queue)
            lines = broker.inspector.logs(job_id, found.queue)
            if lines.dropped > shown:
                say(f"({lines.dropped - shown} lines are no longer kept)")
            for line in lines[max(0, shown - lines.dropped) :]:
                typer.echo(log_line(line))
            shown = lines.dropped + len(lines)
            if not follow or now is None or now.ended:
                break
            time.sleep(_LOOK)
        if shown == 0:
            say("It has logged nothing.")


@job.command()
def wait(
    job_id: JobId,
    queue: QueueOption = None,
    timeout: Annotated[
        int | None,
        typer.Option("--timeout", "-t", metavar="5m", parser=duration, help="Give up after this long."),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Wait until a job has ended, and show it.

    \b
      jobyard job wait ID --timeout 5m
      jobyard job wait $(jobyard enqueue add --args '[1, 2]')

    Exit status 0: completed. 1: it has failed or was cancelled. 4: unknown. 5: not in time.
    """
    with connected() as broker:
        found = _existing(broker, job_id, queue)
        deadline = float("inf") if timeout is None else time.monotonic() + timeout / 1000
        ended: Job | None = found
        while ended is not None and not ended.ended and time.monotonic() < deadline:
            # In pieces: a day is the longest that a socket may be asked to wait.
            piece = min(deadline, time.monotonic() + 86_400)
            ended = broker.inspector.wait(job_id, queue=found.queue, deadline=piece)
        if ended is None:
            fail(f"job {job_id!r} ended, and is not kept: see the queue's policy", Status.UNKNOWN)
        show_job(ended, output)
        if not ended.ended:
            fail(f"job {job_id!r} is still {STATUS[ended.state]}", Status.TIMEOUT)
        if ended.state != "completed":
            raise typer.Exit(Status.NO)


def show_job(found: Job, output: Format) -> None:
    """One job, with all there is to say of it."""
    if output is not Format.TABLE:
        show_value(job_values(found), output)
        return
    values = job_values(found)
    progress = found.progress or {}
    note = result_of(found)[1]
    show_facts(
        [
            ("Job", found.id),
            ("Queue", found.queue),
            ("Actor", found.actor),
            ("State", STATUS[found.state] + (", asked to stop" if found.cancelling else "")),
            ("Jobs before it", found.position),
            ("Priority", found.priority),
            ("Attempts", found.attempts),
            ("Created", moment_and_when(found.created_at)),
            ("Started", moment_and_when(found.started_at)),
            ("Due", moment_and_when(found.due_at)),
            ("Ended", moment_and_when(found.ended_at)),
            ("Worker", found.worker),
            ("Progress", _progress(progress)),
            ("Arguments", json_text(values["args"]) if found.args else None),
            ("Keywords", json_text(values["kwargs"]) if found.kwargs else None),
            ("Options", json_text(values["options"]) if found.options else None),
            ("Result", note or (None if found.encoded_result is None else json_text(values["result"]))),
        ]
    )
    for error in found.errors:
        head = f"Attempt {error.get('attempt', '?')}: {error.get('error', '')}: {error.get('message', '')}"
        ended = moment_and_when(error.get("ended_at"))
        typer.echo()
        typer.secho(harmless(head, lines=True) + (f", {ended}" if ended else ""), bold=True)
        where = _where(error)
        if where:
            typer.echo(harmless(where))
        trace = str(error.get("traceback") or "")
        if trace:
            typer.echo(harmless(trace.rstrip(), lines=True))


def _where(error: dict[str, Any]) -> str:
    """On which worker an attempt ended, for people."""
    names = {"worker": "worker", "image": "image", "node": "node", "exit_code": "exit code"}
    return ", ".join(f"{said} {error[name]}" for name, said in names.items() if name in error)


def show_jobs(found: Sequence[Job], output: Format, *, none: str) -> None:
    """A list of jobs."""
    if output is not Format.TABLE:
        show_value([job_values(one) for one in found], output)
        return
    columns = ["ID", "QUEUE", "ACTOR", "STATE", ">TRIES", "WHEN", "ARGUMENTS"]
    rows: list[list[Any]] = [
        [one.id, one.queue, one.actor, STATUS[one.state], one.attempts, _last_event(one), arguments_of(one)]
        for one in found
    ]
    if any(one.errors for one in found):
        columns.append("ERROR")
        for row, one in zip(rows, found, strict=True):
            row.append(last_error(one))
    show_table(columns, rows, none=none)


def _last_event(one: Job) -> str | None:
    started = one.started_at if one.state == "active" else None
    return when(one.ended_at or one.due_at or started or one.created_at)


def _progress(progress: dict[str, Any]) -> str | None:
    percent = progress.get("percent")
    words = [f"{percent:g} %" if isinstance(percent, int | float) else "", str(progress.get("message") or "")]
    words.append(json_text(progress["counts"]) if progress.get("counts") else "")
    return "  ".join(word for word in words if word) or None


def _existing(broker: JobyardBroker, job_id: str, queue: str | None) -> Job:
    found = find_job(broker, job_id, queue)
    if found is None:
        fail(unknown_job(job_id), Status.UNKNOWN)
    return found


def _found(broker: JobyardBroker, which: JobFilter, most: int) -> list[Job]:
    """The jobs that fit, so many at most. One that moves meanwhile comes once."""
    found: dict[tuple[str, str], Job] = {}
    cursor: str | None = None
    while True:
        page = broker.inspector.search(which, cursor, min(_PAGE, most))
        found.update(((one.queue, one.id), one) for one in page.jobs)
        cursor = page.cursor
        if cursor is None or len(found) >= most:
            return list(found.values())[:most]
