"""`jobyard job cancel` and `retry`: some jobs by their ids, or all that fit a filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from jobyard.broker import JobyardBroker
from jobyard.broker.bulk import Outcome
from jobyard.broker.inspector import Job
from jobyard.cli import choosing
from jobyard.cli.asking import ask
from jobyard.cli.connection import connected, fail, find_job, say
from jobyard.cli.job import job
from jobyard.cli.output import Format, Output, show_table, show_value
from jobyard.cli.statuses import Status
from jobyard.presentation import STATUS

_CANCEL_HELP = """
Cancel jobs: one that waits at once; one that runs is asked to stop, and its worker interrupts it.

\b
  jobyard job cancel ID ID
  jobyard job cancel --actor send_email --arg tenant=acme --dry-run
  jobyard job cancel --tag import-2026-11 --yes
  jobyard job cancel --queue emails --all

Which: ids, or a filter, or --all. By a filter it asks first; in scripts, --yes answers.

\b
Exit status
  0   done
  1   a job had ended already, or the answer was no
  4   a job, or the queue, is unknown
"""
_RETRY_HELP = """
Try dead letters again, with all their attempts before them.

\b
  jobyard job retry ID ID
  jobyard job retry --error ConnectionError --since 1d --dry-run
  jobyard job retry --tag import-2026-11 --rate 10

Which: ids, or a filter, or --all.

\b
Exit status
  0   done
  1   a job is no dead letter
  4   a job, or the queue, is unknown
"""
Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", show_default=False)]


@job.command(help=_CANCEL_HELP)
def cancel(
    job_ids: Ids = None,
    queue: choosing.Queue = None, state: choosing.State = None, actor: choosing.Actor = None, tag: choosing.Tag = None,
    error: choosing.Error = None, arguments: choosing.Arguments = None, text: choosing.Containing = None,
    since: choosing.Since = None, until: choosing.Until = None, limit: choosing.Limit = None,
    everything: choosing.All = False, dry_run: choosing.DryRun = False, yes: choosing.Yes = False,
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    def cancel_one(broker: JobyardBroker, found: Job) -> tuple[bool, str]:
        before = broker.cancel(found.id, queue=found.queue)
        if before == "active":
            return True, "asked to stop"
        done = before in ("waiting", "delayed", "parked")
        return done, "cancelled" if done else f"not cancelled: it is {_word(before)}"

    options: dict[str, Any] = {
        "state": state, "actor": actor, "tag": tag, "error": error, "arguments": arguments, "text": text, "since": since,
        "until": until,
    }  # fmt: skip
    if _by_id(job_ids, options, everything, dry_run, limit):
        _to_each(job_ids or (), queue, output, cancel_one)
        return
    with connected() as broker:
        which = choosing.chosen(broker, queue=queue, **options)
        try:
            if not (dry_run or yes):
                meant = broker.bulk.cancel(which, dry_run=True, limit=limit).matched
                if meant:
                    ask(f"Cancel {_jobs(meant)}?")
            outcome = broker.bulk.cancel(which, dry_run=dry_run, limit=limit)
        except ValueError as refused:
            fail(str(refused), Status.USAGE)
    _show_outcome(outcome, "cancelled, or asked to stop", dry_run, output)


@job.command(help=_RETRY_HELP)
def retry(
    job_ids: Ids = None,
    queue: choosing.Queue = None, actor: choosing.Actor = None, tag: choosing.Tag = None, error: choosing.Error = None,
    group: choosing.Group = None, arguments: choosing.Arguments = None, text: choosing.Containing = None,
    since: choosing.Since = None, until: choosing.Until = None, limit: choosing.Limit = None,
    everything: choosing.All = False,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, help="So many a second; the later ones are delayed in Redis.")
    ] = None,
    dry_run: choosing.DryRun = False, output: Output = Format.TABLE,
) -> None:  # fmt: skip
    def retry_one(broker: JobyardBroker, found: Job) -> tuple[bool, str]:
        done = bool(broker.dead_letters.retry(found.queue, [found.id]))
        return done, "waits again" if done else f"not retried: it is {STATUS[found.state]}, and only dead letters are"

    options: dict[str, Any] = {
        "actor": actor, "tag": tag, "error": error, "group": group, "arguments": arguments, "text": text, "since": since,
        "until": until,
    }  # fmt: skip
    if _by_id(job_ids, options, everything, dry_run, limit):
        _to_each(job_ids or (), queue, output, retry_one)
        return
    with connected() as broker:
        which = choosing.chosen(broker, queue=queue, **options)
        outcome = broker.bulk.retry(which, rate=rate, dry_run=dry_run, limit=limit)
    _show_outcome(outcome, "retried", dry_run, output)


def _by_id(ids: list[str] | None, options: dict[str, Any], everything: bool, dry_run: bool, limit: int | None) -> bool:
    """Whether jobs are named by ids. Ends the command where it is not said which are meant, or in two ways."""
    filtered = limit is not None or any(value not in (None, []) for value in options.values())
    if ids and dry_run:
        fail("--dry-run is for filters: see `jobyard job show ID`", Status.USAGE)
    if ids and (filtered or everything):
        fail("give ids, or say which by a filter, but not both", Status.USAGE)
    if everything and filtered:
        fail("--all means all: leave it away, or the filter", Status.USAGE)
    if not ids and not filtered and not everything:
        fail("say which: ids, a filter such as --actor or --tag, or --all", Status.USAGE)
    return bool(ids)


def _show_outcome(outcome: Outcome, done: str, dry_run: bool, output: Format) -> None:
    if output is not Format.TABLE:
        show_value({"dry_run": dry_run, **asdict(outcome)}, output)
        return
    rows = [(name, count) for name, count in outcome.by_queue.items()]
    show_table(("QUEUE", ">WOULD BE" if dry_run else ">JOBS"), rows, none="No job fits.")
    if dry_run and outcome.matched:
        say(f"{_jobs(outcome.matched)} would be {done}, for example {', '.join(outcome.sample[:3])}")
    elif outcome.matched:
        gone = outcome.matched - outcome.changed
        say(f"{_jobs(outcome.changed)} {done}" + (f"; {_jobs(gone)} had gone on meanwhile" if gone else ""))


def _jobs(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"


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


def _word(state: str) -> str:
    """A state as `Broker.cancel` names it."""
    return "failed" if state == "dead" else state
