"""`jobyard dead`: dead letters. Look at them, try them again, discard them, correct their arguments."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from jobyard.broker import JobyardBroker
from jobyard.broker.dead_letters import DeadFilter
from jobyard.broker.inspector import Job
from jobyard.cli.app import app
from jobyard.cli.asking import ask
from jobyard.cli.connection import connected, fail, find_job, queue_names, say, unknown_job
from jobyard.cli.editor import EditorError, edit_text
from jobyard.cli.harmless import json_text
from jobyard.cli.job import JobId, QueueOption, show_job, show_jobs
from jobyard.cli.output import Format, Output, show_value
from jobyard.cli.statuses import Status
from jobyard.cli.values import duration, json_list, json_object
from jobyard.presentation import STATUS

dead = typer.Typer(help="Dead letters: look at them, try them again, discard or correct them.", no_args_is_help=True)
app.add_typer(dead, name="dead")

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", show_default=False)]
InQueue = Annotated[str | None, typer.Option("--queue", "-q", metavar="NAME", help="Of this queue only.")]
OfActor = Annotated[str | None, typer.Option("--actor", "-a", metavar="NAME", help="Of this actor only.")]
WithError = Annotated[
    str | None, typer.Option("--error", "-e", metavar="TEXT", help="Type of the last error, or a part of its message.")
]
OfGroup = Annotated[
    str | None, typer.Option("--group", "-g", metavar="GROUP", help="Of this group of `jobyard dead groups` only.")
]
OlderThan = Annotated[
    int | None, typer.Option("--older-than", metavar="7d", parser=duration, help="Died at least so long ago.")
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="No more than so many, the oldest first.")]
All = Annotated[bool, typer.Option("--all", help="All that there are; needed where no filter is given.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show which they are, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


@dead.command("list")
def list_dead(
    queue: InQueue = None,
    actor: OfActor = None,
    error: WithError = None,
    older_than: OlderThan = None,
    group: OfGroup = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="No more than so many, the oldest first.")] = 50,
    output: Output = Format.TABLE,
) -> None:
    """Dead letters, the oldest first.

    \b
      jobyard dead list --error SMTPServerDisconnected
      jobyard dead list --queue emails --older-than 7d -o json
    """
    with connected() as broker:
        found = _select(broker, queue, DeadFilter(actor, error, older_than), group, limit + 1)
    show_jobs(found[:limit], output, none="No dead letter fits.")
    if len(found) > limit and output is Format.TABLE:
        say(f"There are more than these {limit}: see --limit.")


@dead.command()
def show(job_id: JobId, queue: QueueOption = None, output: Output = Format.TABLE) -> None:
    """Everything about a dead letter, with the errors of all its attempts.

    \b
      jobyard dead show ID
    """
    with connected() as broker:
        found = _dead_letter(broker, job_id, queue)
    show_job(found, output)


@dead.command()
def retry(
    ids: Ids = None,
    queue: InQueue = None,
    actor: OfActor = None,
    error: WithError = None,
    older_than: OlderThan = None,
    group: OfGroup = None,
    limit: Limit = None,
    everything: All = False,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.001, help="So many a second of each queue; the later ones are delayed in Redis."),
    ] = None,
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """Try dead letters again, with all their attempts before them: those with these ids, or all that fit.

    \b
      jobyard dead retry ID ID
      jobyard dead retry --error SMTPServerDisconnected --rate 5

    Exit status 1: some id is of no dead letter (any more).
    """
    with connected() as broker:
        found, missing = _chosen(broker, ids, queue, DeadFilter(actor, error, older_than, limit), group, everything)
        if dry_run:
            show_jobs(found, output, none="None would be retried.")
            changed = 0
        else:
            changed = sum(broker.dead_letters.retry(name, some, rate=rate) for name, some in _by_queue(found).items())
            _tell("retried", changed, len(found), output)
    _finish(missing, 0 if dry_run else len(found) - changed, ids)


@dead.command()
def discard(
    ids: Ids = None,
    queue: InQueue = None,
    actor: OfActor = None,
    error: WithError = None,
    older_than: OlderThan = None,
    group: OfGroup = None,
    limit: Limit = None,
    everything: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Forget dead letters for ever: those with these ids, or all that fit (then it asks first).

    \b
      jobyard dead discard --actor send_email --older-than 7d --dry-run
      jobyard dead discard --queue emails --all --yes

    Exit status 1: some id is of no dead letter (any more), or the answer was no.
    """
    with connected() as broker:
        found, missing = _chosen(broker, ids, queue, DeadFilter(actor, error, older_than, limit), group, everything)
        if dry_run:
            show_jobs(found, output, none="None would be discarded.")
            changed = 0
        else:
            queues = _by_queue(found)
            if found and not ids and not yes:
                ask(f"Discard {_letters(len(found))} of {', '.join(queues)} for ever?")
            changed = sum(broker.dead_letters.discard(name, some) for name, some in queues.items())
            _tell("discarded", changed, len(found), output)
    _finish(missing, 0 if dry_run else len(found) - changed, ids)


@dead.command()
def edit(
    job_id: JobId,
    queue: QueueOption = None,
    args: Annotated[str | None, typer.Option("--args", metavar="JSON", help="New positional arguments.")] = None,
    kwargs: Annotated[str | None, typer.Option("--kwargs", metavar="JSON", help="New keyword arguments.")] = None,
) -> None:
    """Change the arguments of a dead letter and try it again.

    \b
      jobyard dead edit ID
      jobyard dead edit ID --kwargs '{"to": "ada@example.org"}'

    Without --args and --kwargs it opens them in $EDITOR, as JSON; leave without saving, and nothing happens.
    """
    with connected() as broker:
        found = _dead_letter(broker, job_id, queue)
        if args is None and kwargs is None:
            new = _edited(found)
        else:
            new = (
                list(found.args) if args is None else json_list(args, "--args"),
                dict(found.kwargs) if kwargs is None else json_object(kwargs, "--kwargs"),
            )
        if new is None:
            say("Nothing was changed, and the job was not retried.")
            raise typer.Exit(Status.NO)
        try:
            done = broker.dead_letters.edit_and_retry(found.queue, found.id, lambda *_: (tuple(new[0]), new[1]))
        except (ValueError, TypeError) as error:
            fail(str(error), Status.USAGE)
        if not done:
            fail(f"job {job_id!r} is no dead letter any more", Status.NO)
        say(f"{found.id} waits again, with its new arguments")


def _select(
    broker: JobyardBroker, queue: str | None, which: DeadFilter, group: str | None, limit: int | None
) -> list[Job]:
    found: list[Job] = []
    # How many are taken is counted here, since not all that are selected are of the group.
    which = replace(which, limit=None)
    for name in queue_names(broker, queue):
        for job in broker.dead_letters.select(name, which):
            if limit is not None and len(found) >= limit:
                return found
            if group is None or (job.errors and job.errors[-1].get("group") == group):
                found.append(job)
    return found


def _chosen(
    broker: JobyardBroker,
    ids: list[str] | None,
    queue: str | None,
    which: DeadFilter,
    group: str | None,
    everything: bool,
) -> tuple[list[Job], list[str]]:
    """The dead letters that are meant, and those of the ids that are of none."""
    filtered = any(one is not None for one in (which.actor, which.error, which.older_than, which.limit, group))
    if ids and (filtered or everything):
        fail("give ids, or say which by a filter, but not both", Status.USAGE)
    if everything and filtered:
        fail("--all means all: leave it away, or the filter", Status.USAGE)
    if not ids:
        if not filtered and not everything:
            fail("say which: ids, --actor, --error, --group, --older-than, --limit, or --all", Status.USAGE)
        return _select(broker, queue, which, group, which.limit), []
    found: list[Job] = []
    missing: list[str] = []
    for job_id in dict.fromkeys(ids):
        job = find_job(broker, job_id, queue)
        if job is not None and job.state == "dead":
            found.append(job)
        else:
            missing.append(job_id)
            say(
                f"jobyard: {unknown_job(job_id)}"
                if job is None
                else f"jobyard: job {job_id!r} is {STATUS[job.state]}, and no dead letter"
            )
    return found, missing


def _dead_letter(broker: JobyardBroker, job_id: str, queue: str | None) -> Job:
    found = find_job(broker, job_id, queue)
    if found is None:
        fail(unknown_job(job_id), Status.UNKNOWN)
    if found.state != "dead":
        fail(f"job {job_id!r} is {STATUS[found.state]}, and no dead letter", Status.NO)
    return found


def _by_queue(found: list[Job]) -> dict[str, list[str]]:
    queues: dict[str, list[str]] = {}
    for job in found:
        queues.setdefault(job.queue, []).append(job.id)
    return queues


def _letters(count: int) -> str:
    return f"{count:,} dead letter{'' if count == 1 else 's'}"


def _tell(done: str, changed: int, meant: int, output: Format) -> None:
    if output is not Format.TABLE:
        show_value({"changed": changed}, output)
        return
    typer.echo(f"{_letters(changed)} {done}")
    if changed < meant:
        say(f"{_letters(meant - changed)} had been taken by somebody else meanwhile")


def _finish(missing: list[str], gone: int, ids: list[str] | None) -> None:
    """Who named ids wants each of them."""
    if missing or (ids and gone):
        raise typer.Exit(Status.NO)


def _edited(job: Job) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments as they come out of the editor; None: they were not changed."""
    try:
        text = json_text({"args": job.args, "kwargs": job.kwargs}, indent=2) + "\n"
    except (TypeError, RecursionError):
        fail("its arguments are not JSON, so they can't be edited here", Status.USAGE)
    while True:
        try:
            answer = edit_text(text, suffix=".json")
        except EditorError as error:
            fail(f"{error} (set EDITOR, or give --args and --kwargs)", Status.USAGE)
        try:
            content = json.loads(answer)
            if not isinstance(content, dict) or content.keys() != {"args", "kwargs"}:
                raise ValueError('it must be {"args": […], "kwargs": {…}}')
            if not isinstance(content["args"], list) or not isinstance(content["kwargs"], dict):
                raise ValueError("args is an array, and kwargs an object")
        except (ValueError, RecursionError) as error:
            say(f"jobyard: this can't be the arguments: {error}")
            if not sys.stdin.isatty() or not typer.confirm("Edit it again?", default=True, err=True):
                raise typer.Exit(Status.USAGE) from None
            text = answer
            continue
        if content == {"args": list(job.args), "kwargs": job.kwargs}:
            return None
        return content["args"], content["kwargs"]
