"""`jobyard enqueue`: send a job without importing the code of its actor."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from dramatiq import Message

from jobyard.broker.workers import list_workers
from jobyard.cli.app import app
from jobyard.cli.connection import connected, fail, say
from jobyard.cli.output import Format, Output, show_value
from jobyard.cli.statuses import Status
from jobyard.cli.values import duration, json_list, json_object, level


def _until(text: str) -> str | float:
    return text if text in ("start", "finish") else duration(text) / 1000


_HELP = """
Send a job, without importing the code of its actor. Prints the job's id.

\b
  jobyard enqueue send_email --queue emails --kwargs '{"to": "ada@example.org"}'
  jobyard enqueue add --args '[1, 2]' --delay 5m --priority high
  jobyard enqueue add --args '[1, 2]' --tag nightly --deadline 6h
  jobyard job wait $(jobyard enqueue add --args '[1, 2]')

What the actor declares in code (its queue, priority, key, unique, the check of its payload) is not known here: give it.

\b
Exit status
  0   Redis has the job
  1   it was not accepted: the queue's rate is used up
  2   something on the command line or in the environment is wrong
  3   Redis can't be reached, or refuses us. Whether it has the job is not known
"""


@app.command(help=_HELP)
def enqueue(
    actor: Annotated[str, typer.Argument(metavar="ACTOR", show_default=False)],
    queue: Annotated[str, typer.Option("--queue", "-q", metavar="NAME", help="The queue that its workers serve.")] = "default",
    args: Annotated[str, typer.Option("--args", metavar="JSON", help="Positional arguments: an array.")] = "[]",
    kwargs: Annotated[str, typer.Option("--kwargs", metavar="JSON", help="Keyword arguments: an object.")] = "{}",
    delay: Annotated[
        int | None, typer.Option("--delay", "-d", metavar="5m", parser=duration, help="Not before so long from now.")
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option(
            "--priority", "-p", metavar="LEVEL", parser=level,
            help="critical, high, normal, low, or 0 to 100, the lower the sooner. Default: normal.",
        ),
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Whose job it is, for limits and turns by key.")] = None,
    unique: Annotated[
        str | None, typer.Option("--unique", metavar="KEY", help="Only if no other job has this unique key.")
    ] = None,
    unique_until: Annotated[
        Any,
        typer.Option(
            "--unique-until", metavar="start|finish|5m", parser=_until,
            help="Until when it has the unique key. Default: finish.",
        ),
    ] = None,
    debounce: Annotated[
        bool, typer.Option("--debounce", help="With --unique: replace the other job if it still waits.")
    ] = False,
    expires: Annotated[
        int | None,
        typer.Option("--expires", metavar="1h", parser=duration, help="It must have started by then."),
    ] = None,
    deadline: Annotated[
        int | None,
        typer.Option(
            "--deadline", metavar="1h", parser=duration, help="It must have ended by then: no attempt starts later."
        ),
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="By which it can be found. Can be given several times."),
    ] = None,
    dependency: Annotated[
        str | None, typer.Option("--dependency", metavar="NAME", help="What it needs: held while that fails.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="KEY", help="Makes the id: sending it again gives the first job."),
    ] = None,
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    if unique is None and (unique_until is not None or debounce):
        fail("--unique-until and --debounce say more about --unique KEY, which is missing", Status.USAGE)
    wishes: dict[str, Any] = {
        "priority": priority,
        "key": key,
        "unique": unique,
        "unique_until": unique_until,
        "debounce": debounce or None,
        "expires": expires,
        "deadline": deadline,
        "tags": tags or None,
        "dependency": dependency,
        "idempotency_key": idempotency_key,
    }
    message: Message[Any] = Message(
        queue_name=queue,
        actor_name=actor,
        args=tuple(json_list(args, "--args")),
        kwargs=json_object(kwargs, "--kwargs"),
        options={name: value for name, value in wishes.items() if value is not None},
    )
    with connected() as broker:
        try:
            sent = broker.enqueue(message, delay=delay)
        except (ValueError, TypeError) as error:
            fail(str(error), Status.USAGE)
        if not any(queue in one.queues and actor in one.actors for one in list_workers(broker)):
            say(f"No worker is there yet that serves queue {queue!r} and has an actor {actor!r}.")
    other = sent.message_id != message.message_id and idempotency_key is None
    if other:
        say("Another job has this unique key: it was not enqueued.")
    if output is Format.TABLE:
        typer.echo(sent.message_id)
    else:
        show_value({"job_id": sent.message_id, "queue": queue, "actor": actor, "duplicate": other}, output)
