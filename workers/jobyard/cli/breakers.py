"""`jobyard queue breakers`: circuit breakers, as they stand, and opening or closing one by hand."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobyard.broker.breakers import Breaker
from jobyard.cli.connection import connected, fail, queue_names
from jobyard.cli.facts import when
from jobyard.cli.output import Format, Output, show_table, show_value
from jobyard.cli.queue import queue
from jobyard.cli.statuses import Status
from jobyard.cli.values import duration
from jobyard.presentation import iso, plain

_HELP = """
Dependencies that have failed of late, and what is held for them; or open and close one by hand.

\b
  jobyard queue breakers                            of all queues
  jobyard queue breakers emails
  jobyard queue breakers emails --open smtp --for 1h    start no job of it, then let one try: for maintenance
  jobyard queue breakers emails --close smtp            start them again, at once
"""


@queue.command(help=_HELP)
def breakers(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", show_default=False)] = None,
    opened: Annotated[
        str | None, typer.Option("--open", metavar="DEPENDENCY", help="Start no more jobs of this dependency.")
    ] = None,
    pause: Annotated[int | None, typer.Option("--for", metavar="1h", parser=duration, help="With --open: so long.")] = None,
    closed: Annotated[
        str | None, typer.Option("--close", metavar="DEPENDENCY", help="Start the jobs of this dependency again.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    if (opened is None) != (pause is None):
        fail("--open DEPENDENCY and --for 1h go together", Status.USAGE)
    if name is None and (opened or closed):
        fail("say of which queue: jobyard queue breakers NAME --open …", Status.USAGE)
    with connected() as broker:
        names = queue_names(broker, name)
        try:
            if name is not None and opened is not None and pause is not None:
                broker.breakers.open(name, opened, pause)
            if name is not None and closed is not None and not broker.breakers.close(name, closed):
                fail(f"queue {name!r} holds nothing for {closed[:100]!r}", Status.NO)
        except ValueError as error:
            fail(str(error), Status.USAGE)
        found = [one for each in names for one in broker.breakers.list(each)]
    if output is not Format.TABLE:
        show_value([breaker_values(one) for one in found], output)
        return
    show_table(
        ("DEPENDENCY", "QUEUE", "STATE", ">FAILURES", ">HELD", "SINCE", "TRIED AGAIN"),
        [
            (
                one.dependency,
                one.queue,
                one.state,
                one.failures,
                one.held,
                when(one.since),
                when(one.probe_at) or (f"by {one.probe}" if one.probe else None),
            )
            for one in found
        ],
        none="No dependency has failed of late.",
    )


def breaker_values(one: Breaker) -> dict[str, Any]:
    """A breaker, as `-o json` shows it."""
    return {
        "queue": one.queue,
        "dependency": plain(one.dependency),
        "state": one.state,
        "failures": one.failures,
        "held": one.held,
        "since": iso(one.since),
        "probe_at": iso(one.probe_at),
        "probe": plain(one.probe),
    }
