"""`jobyard audit`: does every queue's ledger add up?"""

from __future__ import annotations

import typer

from jobyard.cli.app import app
from jobyard.cli.connection import connected
from jobyard.cli.facts import queue_values
from jobyard.cli.output import Format, Output, show_table, show_value
from jobyard.cli.statuses import Status


@app.command()
def audit(output: Output = Format.TABLE) -> None:
    """Add up the ledger of every queue: accepted jobs are all somewhere, and nothing is stored that belongs to none.

    \b
      jobyard audit
      jobyard audit -o json || page_somebody

    Exit status 1: something is lost or orphaned. That is a bug, or somebody changed keys by hand.
    """
    with connected() as broker:
        ledgers = [broker.inspector.stats(name) for name in broker.inspector.queues()]
    sound = all(one.lost == 0 and one.orphaned == 0 for one in ledgers)
    if output is not Format.TABLE:
        show_value({"sound": sound, "queues": [queue_values(one) for one in ledgers]}, output)
    else:
        show_table(
            (
                "QUEUE",
                ">ACCEPTED",
                ">UNFINISHED",
                ">FAILED",
                ">COMPLETED",
                ">CANCELLED",
                ">REMOVED",
                ">LOST",
                ">ORPHANED",
            ),
            [
                (
                    one.queue,
                    one.counts.get("accepted", 0),
                    one.waiting + one.delayed + one.parked + one.active,
                    one.dead,
                    one.completed,
                    one.cancelled,
                    one.counts.get("discarded", 0) + one.counts.get("evicted", 0),
                    one.lost,
                    one.orphaned,
                )
                for one in ledgers
            ],
            none="There is no queue yet.",
        )
    if not sound:
        typer.echo("jobyard audit: something is lost or orphaned: this is a bug, or somebody changed keys", err=True)
        raise typer.Exit(Status.NO)
