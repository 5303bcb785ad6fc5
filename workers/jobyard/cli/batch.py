"""`jobyard batch`: how far batches are, and stopping them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobyard.broker import JobyardBroker
from jobyard.broker.batches import BatchStatus
from jobyard.cli.app import app
from jobyard.cli.asking import ask
from jobyard.cli.connection import connected, fail
from jobyard.cli.facts import moment_and_when
from jobyard.cli.output import Format, Output, show_facts, show_value
from jobyard.cli.statuses import Status
from jobyard.presentation import STATES, STATUS, iso, plain

batch = typer.Typer(help="Look at batches, cancel them: jobyard batch show ID", no_args_is_help=True)
app.add_typer(batch, name="batch")

BatchId = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="As `Batch.id` says it: QUEUE:NAME.")]

_SHOW_HELP = """
How far a batch is: its jobs by state, its first failure, the callbacks that were called.

\b
  jobyard batch show reports:2026-11
  jobyard batch show reports:2026-11 -o json
"""
_CANCEL_HELP = """
Cancel all jobs of a batch that have not ended, and accept no more: those that wait at once; those that run are asked to stop.

\b
  jobyard batch cancel reports:2026-11
  jobyard batch cancel reports:2026-11 --yes      without asking
"""


@batch.command(help=_SHOW_HELP)
def show(batch_id: BatchId, output: Output = Format.TABLE) -> None:
    with connected() as broker:
        found = _existing(broker, batch_id)
    if output is not Format.TABLE:
        show_value(batch_values(found), output)
        return
    first = found.first_failure
    show_facts(
        [
            ("Batch", found.id),
            ("Description", found.description),
            ("Tags", ", ".join(found.tags)),
            ("State", _state(found)),
            ("Jobs", found.total),
            ("Pending", found.pending),
            ("Completed", found.completed),
            ("Failed", found.failed),
            ("Cancelled", found.cancelled),
            ("Discarded", found.discarded),
            ("First failure", None if first is None else f"{first.job_id} in queue {first.queue}: {_word(first.state)}"),
            ("Called", ", ".join(f"on_{kind}" for kind in found.callbacks)),
            ("Created", moment_and_when(found.created_at)),
            ("All enqueued", moment_and_when(found.enqueued_at)),
            ("Ended", moment_and_when(found.ended_at)),
            ("Cancelled by hand", moment_and_when(found.cancelled_at)),
        ]
    )  # fmt: skip


@batch.command(help=_CANCEL_HELP)
def cancel(
    batch_id: BatchId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    output: Output = Format.TABLE,
) -> None:
    with connected() as broker:
        found = _existing(broker, batch_id)
        if found.pending and not yes:
            ask(f"Cancel the {found.pending:,} jobs of batch {found.id} that have not ended?")
        before = list(broker.batches.stop(found.id).values())
    stopped = sum(state in ("waiting", "delayed", "parked") for state in before)
    asked = before.count("active")
    if output is not Format.TABLE:
        show_value({"id": found.id, "cancelled": stopped, "asked_to_stop": asked}, output)
    else:
        typer.echo(f"{stopped:,} cancelled, {asked:,} asked to stop; no more jobs are accepted into it")


def batch_values(found: BatchStatus) -> dict[str, Any]:
    """Everything about a batch, as `-o json` shows it."""
    first = found.first_failure
    return {
        "id": found.id,
        "description": plain(found.description),
        "tags": [plain(tag) for tag in found.tags],
        "state": _state(found),
        "total": found.total,
        "pending": found.pending,
        "completed": found.completed,
        "failed": found.failed,
        "cancelled": found.cancelled,
        "discarded": found.discarded,
        "first_failure": None
        if first is None
        else {"job_id": first.job_id, "queue": first.queue, "state": _word(first.state)},
        "callbacks": {kind: iso(when) for kind, when in found.callbacks.items()},
        "created_at": iso(found.created_at),
        "enqueued_at": iso(found.enqueued_at),
        "ended_at": iso(found.ended_at),
        "cancelled_at": iso(found.cancelled_at),
    }


def _existing(broker: JobyardBroker, batch_id: str) -> BatchStatus:
    try:
        found = broker.batches.status(batch_id)
    except ValueError as error:
        fail(f"{batch_id[:200]!r} can't be a batch's id, which is QUEUE:NAME: {error}", Status.USAGE)
    if found is None:
        fail(f"there is no batch {batch_id[:300]!r}, or it ended so long ago that it is no longer kept", Status.UNKNOWN)
    return found


def _state(found: BatchStatus) -> str:
    if found.enqueued_at is None:
        return "being enqueued"
    if not found.ended:
        return "cancelled, some jobs run still" if found.cancelled_at is not None else "running"
    return "succeeded" if found.succeeded else "ended, not all jobs completed"


def _word(state: str) -> str:
    return STATUS[STATES[state]] if state in STATES else state
