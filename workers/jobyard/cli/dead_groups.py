"""`jobyard dead groups`: failures that are the same, counted together."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobyard.broker.failures import FailureGroup
from jobyard.cli.connection import connected, queue_names
from jobyard.cli.dead import InQueue, dead
from jobyard.cli.facts import short, when
from jobyard.cli.output import Format, Output, show_table, show_value
from jobyard.presentation import iso, plain

_HELP = """
Failures that are the same (type, place and message but for its particulars), counted together; what was seen last comes first.

\b
  jobyard dead groups
  jobyard dead groups --queue emails --all       also those of which no dead letter is left
  jobyard dead retry --group GROUP --rate 5
  jobyard dead discard --group GROUP --yes
"""


@dead.command(help=_HELP)
def groups(
    queue: InQueue = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those of which no dead letter is left: the jobs were tried again, and passed.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    with connected() as broker:
        queue_names(broker, queue)
        found = [one for one in broker.failures.groups(queue) if everything or one.dead]
    if output is not Format.TABLE:
        show_value([group_values(one) for one in found], output)
        return
    show_table(
        ("GROUP", "QUEUE", ">DEAD", ">FAILURES", "FIRST", "LAST", "ERROR", "PLACE"),
        [
            (
                one.fingerprint,
                one.queue,
                one.dead,
                one.count,
                when(one.first_seen),
                when(one.last_seen),
                short(f"{one.error}: {one.template}"),
                one.place,
            )
            for one in found
        ],
        none="No dead letter is there." if not everything else "Nothing has failed.",
    )


def group_values(one: FailureGroup) -> dict[str, Any]:
    """A group of failures, as `-o json` shows it."""
    values = {
        "group": one.fingerprint,
        "queue": one.queue,
        "error": one.error,
        "place": one.place,
        "template": one.template,
        "failures": one.count,
        "dead": one.dead,
        "first_seen": iso(one.first_seen),
        "last_seen": iso(one.last_seen),
        "image": one.image,
        "actors": list(one.actors),
        "sample": one.sample,
    }
    return {name: plain(value) for name, value in values.items()}
