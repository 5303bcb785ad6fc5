"""Which jobs are meant: the options of `jobyard job list`, `cancel` and `retry`, and the filter that they make together."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from jobyard import presentation
from jobyard.broker import JobyardBroker
from jobyard.broker.filters import JobFilter
from jobyard.cli.connection import fail, queue_names
from jobyard.cli.durations import parse_duration
from jobyard.cli.statuses import Status

_date: Final = re.compile(r"\d{4}-\d\d-\d\d.*")


def moment(text: str) -> int:
    """An option's moment, in milliseconds since 1970: so long ago (`2h`), or in ISO 8601 (without a zone: UTC)."""
    try:
        if not _date.fullmatch(text.strip()):
            return int(time.time() * 1000) - parse_duration(text)
        found = datetime.fromisoformat(text.strip())
        whole = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return max(0, int(whole.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text[:40]!r} is no time: write 2h (so long ago), 2026-11-24 or 2026-11-24T07:31:00Z"
        ) from None


Queue = Annotated[str | None, typer.Option("--queue", "-q", metavar="NAME", help="Of this queue only.")]
State = Annotated[presentation.Status | None, typer.Option("--state", "-s", help="In this state only.")]
Actor = Annotated[str | None, typer.Option("--actor", "-a", metavar="NAME", help="Of this actor only.")]
Tag = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="With this tag.")]
Error = Annotated[
    str | None, typer.Option("--error", "-e", metavar="TEXT", help="Type of the last error, or a part of its message.")
]
Group = Annotated[
    str | None,
    typer.Option("--group", metavar="ID", help="Whose last error is of this group of `jobyard dead groups`."),
]
Arguments = Annotated[
    list[str] | None,
    typer.Option(
        "--arg", metavar="NAME=VALUE",
        help="With this argument: by name, by position from 0, or by a path (order.id). Can be given several times.",
    ),
]  # fmt: skip
Containing = Annotated[str | None, typer.Option("--text", metavar="TEXT", help="A part of the arguments, as JSON.")]
Since = Annotated[
    int | None,
    typer.Option("--since", metavar="2h", parser=moment, help="Created so long ago at most, or since a time in ISO 8601."),
]  # fmt: skip
Until = Annotated[
    int | None,
    typer.Option("--until", metavar="1h", parser=moment, help="Created so long ago at least, or before such a time."),
]  # fmt: skip
All = Annotated[bool, typer.Option("--all", help="All that there are; needed where nothing else says which.")]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="No more than so many, the oldest first.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell how many they are, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def chosen(
    broker: JobyardBroker,
    *,
    queue: str | None = None,
    state: presentation.Status | None = None,
    actor: str | None = None,
    tag: str | None = None,
    error: str | None = None,
    group: str | None = None,
    arguments: list[str] | None = None,
    text: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> JobFilter:
    """The filter that these options make. Ends the command where they make none, or there is no such queue."""
    if queue is not None:
        queue_names(broker, queue)
    try:
        return JobFilter(
            queue=queue,
            states=() if state is None else (presentation.STATES[state],),
            actor=actor,
            tag=tag,
            error=error,
            group=group,
            argument=dict(_argument(one) for one in arguments or ()),
            text=text,
            created_after=since,
            created_before=until,
        )
    except ValueError as refused:
        fail(str(refused), Status.USAGE)


def says_which(which: JobFilter) -> bool:
    """Whether it says more than the queue."""
    return which.looks_inside or which.needs_error or bool(which.states)


def _argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"--arg is NAME=VALUE, not {text[:100]!r}")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value  # A text needs no quotes.
