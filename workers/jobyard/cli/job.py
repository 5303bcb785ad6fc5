"""`jobyard job`: look at jobs, cancel them, try them again, wait for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final

import typer

from jobyard import presentation
from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import Job
from jobyard.broker.states import STATES, State
from jobyard.cli.app import app
from jobyard.cli.connection import connected, fail, find_job, queue_names, say, unknown_job
from jobyard.cli.facts import arguments_of, job_values, last_error, moment_and_when, when
from jobyard.cli.harmless import harmless, json_text
from jobyard.cli.output import Format, Output, show_facts, show_table, show_value
from jobyard.cli.statuses import Status
from jobyard.cli.values import duration
from jobyard.presentation import STATUS, result_of

_PAGE: Final = 200

job = typer.Typer(help="Look at jobs, cancel them, try them again, wait for them.", no_args_is_help=True)
app.add_typer(job, name="job")

JobId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
JobIds = Annotated[list[str], typer.Argument(metavar="ID...", show_default=False)]
QueueOption = Annotated[
    str | None, typer.Option("--queue", "-q", metavar="NAME", help="The job's queue. Default: the first that knows it.")
]


@job.command()
def show(job_id: JobId, queue: QueueOption = None, output: Output = Format.TABLE) -> None:
    """Everything about a job: where it is, its arguments, attempts, errors, progress and result."""
    with connected() as broker:
        show_job(_existing(broker, job_id, queue), output)


@job.command("list")
def list_jobs(
    queue: Annotated[str | None, typer.Option("--queue", "-q", metavar="NAME", help="Of this queue only.")] = None,
    state: Annotated[
        presentation.Status | None,
        typer.Option("--state", "-s", help="In this state only."),
    ] = None,
    actor: Annotated[str | None, typer.Option("--actor", "-a", metavar="NAME", help="Of this actor only.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="No more than so many.")] = 50,
    output: Output = Format.TABLE,
) -> None:
    """Jobs: running ones first, waiting ones in the order in which they start, ended ones newest first."""
    with connected() as broker:
        names = queue_names(broker, queue)
        found: list[Job] = []
        for one in _jobs(broker, names, STATES if state is None else (presentation.STATES[state],)):
            if actor is None or one.actor == actor:
                found.append(one)
                if len(found) > limit:
                    break
        show_jobs(found[:limit], output, none="No job fits.")
        if len(found) > limit and output is Format.TABLE:
            say(f"There are more than these {limit}: see --limit.")


@job.command()
def cancel(job_ids: JobIds, queue: QueueOption = None, output: Output = Format.TABLE) -> None:
    """Cancel jobs: one that waits at once; one that runs is asked to stop, and its worker interrupts it.

    Exit status 1: a job had ended already. 4: a job is unknown.
    """

    def cancel_one(broker: JobyardBroker, found: Job) -> tuple[bool, str]:
        before = broker.cancel(found.id, queue=found.queue)
        if before == "active":
            return True, "asked to stop"
        done = before in ("waiting", "delayed", "parked")
        return done, "cancelled" if done else f"not cancelled: it is {_word(before)}"

    _to_each(job_ids, queue, output, cancel_one)


@job.command()
def retry(job_ids: JobIds, queue: QueueOption = None, output: Output = Format.TABLE) -> None:
    """Try dead letters again, with all their attempts before them. `jobyard dead retry` takes many by a filter.

    Exit status 1: a job is no dead letter. 4: a job is unknown.
    """

    def retry_one(broker: JobyardBroker, found: Job) -> tuple[bool, str]:
        done = bool(broker.dead_letters.retry(found.queue, [found.id]))
        return done, "waits again" if done else f"not retried: it is {STATUS[found.state]}, and only dead letters are"

    _to_each(job_ids, queue, output, retry_one)


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
        trace = str(error.get("traceback") or "")
        if trace:
            typer.echo(harmless(trace.rstrip(), lines=True))


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


def _word(state: str) -> str:
    """A state as `Broker.cancel` names it."""
    return "failed" if state == "dead" else state


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


def _jobs(broker: JobyardBroker, names: list[str], states: Sequence[State]) -> Iterator[Job]:
    """The jobs of these queues in these states. One that moves meanwhile comes once."""
    seen: set[tuple[str, str]] = set()
    for state in states:
        for name in names:
            stats = broker.inspector.stats(name)
            kept = {"completed": stats.kept_completed, "cancelled": stats.kept_cancelled}
            there: int = kept[state] if state in kept else getattr(stats, state)
            for offset in range(0, there, _PAGE):
                for one in broker.inspector.jobs(name, state, offset=offset, limit=_PAGE):
                    if (name, one.id) not in seen:
                        seen.add((name, one.id))
                        yield one


def _to_each(
    job_ids: Sequence[str], queue: str | None, output: Format, act: Callable[[JobyardBroker, Job], tuple[bool, str]]
) -> None:
    """Do something to each of the jobs, and tell what became of it."""
    rows: list[dict[str, Any]] = []
    worst: Status | None = None
    try:
        with connected() as broker:
            for job_id in job_ids:
                found = find_job(broker, job_id, queue)
                if found is None:
                    worst = Status.UNKNOWN
                    rows.append(
                        {"job_id": job_id, "queue": None, "done": False, "outcome": "unknown, or no longer kept"}
                    )
                    continue
                done, outcome = act(broker, found)
                if not done:
                    worst = worst or Status.NO
                rows.append({"job_id": job_id, "queue": found.queue, "done": done, "outcome": outcome})
    finally:  # Also where Redis goes away in the middle: what is done is done.
        if output is Format.TABLE and rows:
            show_table(("ID", "OUTCOME"), [(row["job_id"], row["outcome"]) for row in rows], none="")
        elif output is not Format.TABLE:
            show_value(rows, output)
    if worst is not None:
        raise typer.Exit(worst)
