"""`jobyard queue`: ledgers, pause and resume, draining, policies."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import QueueStats
from jobyard.broker.policy import QueuePolicy
from jobyard.cli.app import app
from jobyard.cli.connection import connected, fail, queue_names
from jobyard.cli.draining import Drain
from jobyard.cli.durations import parse_duration, say_duration
from jobyard.cli.facts import moment_and_when, queue_values, state_of
from jobyard.cli.harmless import harmless
from jobyard.cli.output import Format, Output, show_facts, show_table, show_value
from jobyard.cli.statuses import Status
from jobyard.cli.values import duration
from jobyard.presentation import plain

queue = typer.Typer(help="Look at queues, pause, resume and drain them, set their policies.", no_args_is_help=True)
app.add_typer(queue, name="queue")

#: Fields of a policy that are lengths of time → milliseconds in their unit.
_TIMES: Final = {
    "ageing": 1000,
    **dict.fromkeys(("completed_ttl", "cancelled_ttl", "dead_ttl", "rate_period", "key_rate_period"), 1),
}
_WEIGHTS: Final = "weights."

QueueName = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
QueueNames = Annotated[list[str], typer.Argument(metavar="NAME...", show_default=False)]

_DRAIN_HELP = """
Wait until queues have no job that waits, is parked or runs. Delayed ones don't count, unless --delayed says so.

\b
  jobyard queue drain emails --timeout 10m
  jobyard queue drain emails images --delayed
  jobyard queue drain emails --pause-after       and start none that come later
  jobyard queue drain emails && deploy

It stops nobody from sending jobs: stop producers first, or the queue may never be empty. Dead letters stay where they are.

\b
Exit status
  0   drained
  1   it can't be: the queue is paused, and jobs wait in it
  5   not in time
"""

_POLICY_HELP = """
Show a queue's policy, or change fields of it. It acts at once, without restarting anything.

\b
  jobyard queue policy emails                                     what holds
  jobyard queue policy emails --set concurrency=5 --set rate=10   change two fields
  jobyard queue policy emails --unset rate                        back to the default
  jobyard queue policy emails --set completed_ttl=2h              times as 90s, 5m, 2h, 7d, or as a bare number: milliseconds
                                                                  (ageing: seconds)
  jobyard queue policy emails --set weights.gold=3                the weight of one key

\b
Fields
  paused                                    start no jobs
  concurrency, key_concurrency              jobs that run at the same time: of the queue, of one key
  rate, rate_period, rate_burst             jobs that start in a period, and so many at once after a pause
  key_rate, key_rate_period, key_rate_burst the same for one key
  rate_mode                                 hold, or reject
  fair, weights.KEY                         keys take turns
  ageing                                    the time that one level of priority is worth
  completed, completed_ttl                  how many completed jobs are kept, and how long
  cancelled, cancelled_ttl, dead, dead_ttl  the same for others
"""


@queue.command("list")
def list_queues(output: Output = Format.TABLE) -> None:
    """All queues, with how many jobs are where.

    \b
      jobyard queue list
      jobyard queue list -o json
    """
    with connected() as broker:
        ledgers = [broker.inspector.stats(name) for name in queue_names(broker, None)]
    if output is not Format.TABLE:
        show_value([queue_values(one) for one in ledgers], output)
        return
    show_table(
        (
            "QUEUE",
            "STATE",
            ">WAITING",
            ">DELAYED",
            ">PARKED",
            ">ACTIVE",
            ">FAILED",
            ">COMPLETED",
            ">CANCELLED",
            "OLDEST",
        ),
        [
            (
                one.queue,
                state_of(one),
                one.waiting,
                one.delayed,
                one.parked,
                one.active,
                one.dead,
                one.completed,
                one.cancelled,
                _age(one),
            )
            for one in ledgers
        ],
        none="There is no queue yet.",
    )


@queue.command()
def stats(name: QueueName, output: Output = Format.TABLE) -> None:
    """The whole ledger of one queue.

    \b
      jobyard queue stats emails
    """
    with connected() as broker:
        ledger = broker.inspector.stats(queue_names(broker, name)[0])
    values = queue_values(ledger)
    if output is not Format.TABLE:
        show_value(values, output)
        return
    del values["oldest_seconds"], values["next_due_at"]
    words = [(field.replace("_", " ").capitalize(), value) for field, value in values.items()]
    times = [("Oldest waits for", _age(ledger)), ("Next is due", moment_and_when(ledger.next_due))]
    show_facts(
        [(field, ("yes" if value else "no") if isinstance(value, bool) else value) for field, value in words] + times
    )


@queue.command()
def pause(names: QueueNames) -> None:
    """Start no more jobs of these queues. They still accept jobs, and running ones finish.

    \b
      jobyard queue pause emails images
    """
    _set_paused(names, True)


@queue.command()
def resume(names: QueueNames) -> None:
    """Start jobs of these queues again.

    \b
      jobyard queue resume emails images
    """
    _set_paused(names, False)


@queue.command(help=_DRAIN_HELP)
def drain(
    names: QueueNames,
    delayed: Annotated[
        bool, typer.Option("--delayed", help="Also until no job is delayed, nor waits for its next attempt.")
    ] = False,
    timeout: Annotated[
        int | None, typer.Option("--timeout", "-t", metavar="10m", parser=duration, help="Give up after this long.")
    ] = None,
    pause_after: Annotated[
        bool, typer.Option("--pause-after", help="Pause each queue as soon as it is drained.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    with connected() as broker:
        for name in names:
            queue_names(broker, name)
        drained = Drain(broker, names, delayed=delayed, pause_after=pause_after)
        ended = drained.wait(None if timeout is None else timeout / 1000, show=output is Format.TABLE)
    if output is not Format.TABLE:
        show_value({"drained": ended is None, "queues": [queue_values(one) for one in drained.ledgers]}, output)
    elif ended is None:
        for name in names:
            typer.echo(f"{name} is drained{', and paused' if pause_after else ''}")
    if ended is not None:
        fail(*ended)


@queue.command(help=_POLICY_HELP)
def policy(
    name: QueueName,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Set a field. Can be given several times.")
    ] = None,
    removals: Annotated[
        list[str] | None, typer.Option("--unset", metavar="FIELD", help="Let the default hold again.")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="The queue need not exist yet.")] = False,
    output: Output = Format.TABLE,
) -> None:
    with connected() as broker:
        changing = bool(changes or removals)
        if not (new and changing):
            queue_names(broker, name)
        try:
            held = _change(broker, name, changes or [], removals or []) if changing else None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "policy"
            fail(f"{where}: {first['msg'].removeprefix('Value error, ')}", Status.USAGE)
        except ValueError as error:
            fail(str(error), Status.USAGE)
        if held is None:
            held = broker.inspector.stats(name).policy
    fields = plain(held.model_dump(exclude_none=True))
    if output is not Format.TABLE:
        show_value({"name": name, "policy": fields}, output)
        return
    show_table(("FIELD", "VALUE"), [_row(field, value) for field, value in fields.items()], none="Only defaults hold.")


def _change(broker: JobyardBroker, name: str, changes: list[str], removals: list[str]) -> QueuePolicy:
    fields: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    for change in changes:
        field, equals, value = change.partition("=")
        if not equals or not value.strip():
            raise ValueError(f"{change[:100]!r} is not FIELD=VALUE; to take a value away, use --unset FIELD")
        if field.startswith(_WEIGHTS):
            weights[field.removeprefix(_WEIGHTS)] = value
        else:
            fields[_known(field)] = _value(field, value.strip())
    for field in removals:
        if field.startswith(_WEIGHTS):
            weights[field.removeprefix(_WEIGHTS)] = 1  # Which is what keys have that are not named.
        else:
            fields[_known(field)] = None
    if weights:
        fields["weights"] = weights
    return broker.configure(name, QueuePolicy.model_validate(fields))


def _known(field: str) -> str:
    known = [one for one in QueuePolicy.model_fields if one != "weights"]
    if field in known:
        return field
    raise ValueError(f"a policy has no field {field[:100]!r}: it has {', '.join(known)}, {_WEIGHTS}KEY")


def _value(field: str, text: str) -> Any:
    if field not in _TIMES or text.replace(".", "", 1).isdigit():
        return text
    length = parse_duration(text)
    return length / _TIMES[field] if field == "ageing" else length


def _row(field: str, value: Any) -> tuple[str, str]:
    if field in _TIMES:
        return field, say_duration(value * _TIMES[field])
    if isinstance(value, bool):
        return field, "yes" if value else "no"
    if isinstance(value, dict):
        return field, ", ".join(f"{key}: {weight:g}" for key, weight in value.items())
    return field, f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def _age(ledger: QueueStats) -> str | None:
    return None if ledger.oldest_at is None else say_duration(ledger.now - ledger.oldest_at)


def _set_paused(names: list[str], paused: bool) -> None:
    with connected() as broker:
        for name in names:
            queue_names(broker, name)  # All are known, or none is touched.
        for name in names:
            (broker.pause if paused else broker.resume)(name)
            held = None if paused else broker.inspector.stats(name).held
            if held is not None:
                typer.echo(f"{name} is not paused, but the operator holds it: {harmless(held)}")
            else:
                typer.echo(f"{name} is paused: no more of its jobs start" if paused else f"{name} is running")
