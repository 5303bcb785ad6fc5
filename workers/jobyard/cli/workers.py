"""`jobyard worker list`: the worker processes that are there."""

from __future__ import annotations

from jobyard.broker.workers import list_workers
from jobyard.cli.app import app
from jobyard.cli.connection import connected
from jobyard.cli.facts import when, worker_values
from jobyard.cli.output import Format, Output, show_table, show_value
from jobyard.cli.worker import worker

_HELP = """
List the worker processes that are there, with what they serve and how busy they are.

\b
  jobyard worker list
  jobyard worker list -o json
"""


@worker.command("list", help=_HELP)
@app.command("workers", help=_HELP, hidden=True)  # What it was called before.
def list_all(output: Output = Format.TABLE) -> None:
    with connected() as broker:
        found = list_workers(broker)
    if output is not Format.TABLE:
        show_value([worker_values(one) for one in found], output)
        return
    show_table(
        ("NAME", "STATE", ">BUSY", ">COMPLETED", ">FAILED", "STARTED", "VERSION", "QUEUES"),
        [
            (
                one.name,
                one.state,
                f"{one.busy}/{one.threads}",
                one.completed,
                one.failed,
                when(one.started_at),
                one.version,
                ", ".join(one.queues),
            )
            for one in found
        ],
        none="No worker is there.",
    )
