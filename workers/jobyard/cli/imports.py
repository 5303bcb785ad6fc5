"""`jobyard import`: drain a queue of Dramatiq, Celery or RQ into ours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from redis.exceptions import RedisError

from jobyard.broker.keys import check_queue_name
from jobyard.broker.server import server
from jobyard.cli.app import app
from jobyard.cli.connection import connected, fail, say
from jobyard.cli.output import Format, Output, show_facts, show_table, show_value
from jobyard.cli.statuses import Status
from jobyard.migrate.celery_queue import CeleryQueue
from jobyard.migrate.dramatiq_queue import DramatiqQueue
from jobyard.migrate.mover import Mover, Report
from jobyard.migrate.rq_queue import RqQueue
from jobyard.migrate.source import WAIVABLE, Request, Source

_KINDS: Final[dict[str, Callable[[Any, Request], Source]]] = {
    "dramatiq": DramatiqQueue,
    "celery": CeleryQueue,
    "rq": RqQueue,
}
#: At a terminal it says after so many jobs how far it is.
_NEWS: Final = 5000

_HELP = """
Move the jobs of {system} out of a queue of its Redis into ours, losing nothing.

\b
  jobyard import {command} --from redis://old:6379/0 --queue emails --dry-run
  jobyard import {command} --from redis://old:6379/0 --queue emails
  jobyard import {command} --from redis://old:6379/0 --queue emails --to-queue mail --map {example}
  JOBYARD_IMPORT_FROM=redis://:secret@old:6379/0 jobyard import {command} --queue emails -o json

Each job is read, handed in here under the id that it has there, and only then taken out there. It can be stopped at any time,
also killed; the same command goes on, and knows what it had moved. Stop the workers of {system} first; producers may go on,
if the command is run once more when they have stopped.

{more}

\b
Exit status
  0   all that was there is here
  1   some jobs stay there, each for a reason that is told; or they were taken by somebody else meanwhile
  2   something on the command line or in the environment is wrong
  3   one of the two Redis can't be reached, or refuses us
"""
_MORE: Final = {
    "dramatiq": "What workers of Dramatiq had taken when they died is moved as well. Results, and the steps of a pipeline that "
    "are still to come, are options of a message and come along; a group's callbacks can't.",
    "celery": "Only JSON is read: a pickle could run code. Steps of chains and chords and tasks with callbacks stay, since what "
    "follows from them would be lost. Tasks whose eta has not come lie with the workers, until these are stopped.",
    "rq": "RQ's pickles are never loaded, since that could run code: those that hold only plain values (texts, numbers, lists, "
    "dicts) are read, others stay. Tuples inside arguments become lists. What depends on other jobs stays.",
}


def _help(command: str, system: str, example: str) -> str:
    return _HELP.format(command=command, system=system, example=example, more=_MORE[command])


imports = typer.Typer(
    help="Drain a queue of Dramatiq, Celery or RQ into ours: jobyard import celery --from redis://old/0 --queue emails",
    no_args_is_help=True,
)
app.add_typer(imports, name="import")

From = Annotated[
    str,
    typer.Option(
        "--from", envvar="JOBYARD_IMPORT_FROM", metavar="URL", show_default=False,
        help="That system's Redis, as redis://host:6379/0. With a password better in the environment: others can read a "
        "command line.",
    ),
]  # fmt: skip
FromQueue = Annotated[str, typer.Option("--queue", "-q", metavar="NAME", show_default=False, help="The queue there.")]
ToQueue = Annotated[
    str | None, typer.Option("--to-queue", metavar="NAME", help="The queue here. Default: of the same name.")
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="TASK=ACTOR", help="What is called TASK there is ACTOR here. Can be given several times."
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix", metavar="TEXT",
        help="What that system's keys begin with: Dramatiq's namespace, Celery's global_keyprefix, RQ_KEY_PREFIX.",
    ),
]  # fmt: skip
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="No more than so many.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing, only tell what would be moved.")]
InFlight = Annotated[
    bool, typer.Option("--in-flight", help="Also what workers had taken. Only when all workers there have stopped.")
]
DeadLetters = Annotated[
    bool, typer.Option("--dead-letters", help="Also what has failed there: it is tried again here.")
]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="group|meta", help="Move jobs of groups, or with meta data, but without these."),
]


@imports.command("dramatiq", help=_help("dramatiq", "Dramatiq", "send_mail=send_email"))
def import_dramatiq(
    url: From, queue: FromQueue, to_queue: ToQueue = None, names: Names = None, prefix: Prefix = None, limit: Limit = None,
    dry_run: DryRun = False, in_flight: InFlight = False, dead_letters: DeadLetters = False, without: Without = None,
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    request = _request(queue, prefix, in_flight, dead_letters, without)
    _import("dramatiq", url, request, to_queue, names, limit, dry_run, output)


@imports.command("celery", help=_help("celery", "Celery", "shop.tasks.send_mail=send_email"))
def import_celery(
    url: From, queue: FromQueue = "celery", to_queue: ToQueue = None, names: Names = None, prefix: Prefix = None,
    limit: Limit = None, dry_run: DryRun = False, in_flight: InFlight = False, without: Without = None,
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    _import("celery", url, _request(queue, prefix, in_flight, False, without), to_queue, names, limit, dry_run, output)


@imports.command("rq", help=_help("rq", "RQ", "shop.mail.send=send_email"))
def import_rq(
    url: From, queue: FromQueue, to_queue: ToQueue = None, names: Names = None, prefix: Prefix = None, limit: Limit = None,
    dry_run: DryRun = False, in_flight: InFlight = False, dead_letters: DeadLetters = False, without: Without = None,
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    request = _request(queue, prefix, in_flight, dead_letters, without)
    _import("rq", url, request, to_queue, names, limit, dry_run, output)


def report_values(report: Report) -> dict[str, Any]:
    """What was done, as `-o json` shows it."""
    return {
        "found": report.found,
        "moved": report.moved,
        "already_there": report.already_there,
        "taken_meanwhile": report.taken,
        "skipped": [
            {"reason": one.reason, "count": one.count, "examples": one.examples, "without": one.waiver}
            for one in report.skipped.values()
        ],
        "source": {"before": report.before, "after": report.after, "left": report.left},
        "accepted": report.accepted,
    }


def _request(queue: str, prefix: str | None, in_flight: bool, dead_letters: bool, without: list[str] | None) -> Request:
    for one in without or ():
        if one not in WAIVABLE:
            fail(f"--without is {' or '.join(WAIVABLE)}, not {one[:40]!r}", Status.USAGE)
    return Request(queue, prefix, in_flight, dead_letters, frozenset(without or ()))


def _import(
    system: str, url: str, request: Request, to_queue: str | None, names: list[str] | None, limit: int | None,
    dry_run: bool, output: Format,
) -> None:  # fmt: skip
    target = request.queue if to_queue is None else to_queue
    try:
        check_queue_name(target)
    except ValueError as error:
        fail(f"{error}; say --to-queue" if to_queue is None else str(error), Status.USAGE)
    actors = dict(_pair(one) for one in names or ())
    with _foreign(url) as client, connected() as broker:
        source = _KINDS[system](client, request)
        mover = Mover(
            broker, source, target, names=actors, limit=limit, dry_run=dry_run, progress=_news(output, dry_run)
        )
        complete = False
        try:
            mover.run()
            complete = True
        except KeyboardInterrupt:
            fail("stopped; the same command goes on", Status.NO)
        finally:  # Also where one side goes away in the middle: what is done is done.
            if complete or mover.report.found:
                _show(mover.report, request.queue, target, dry_run, output)
    if not mover.report.before or not sum(mover.report.before.values()):
        say(f"{system} has nothing in a queue {request.queue!r} there: is that its name, and its --prefix?")
    if mover.report.skipped or mover.report.taken:
        raise typer.Exit(Status.NO)


@contextmanager
def _foreign(url: str) -> Iterator[Any]:
    """A client of the other system's Redis."""
    try:
        other = server(url)
        client = other.client()
    except ValueError as error:
        fail(f"--from: {error}", Status.USAGE)
    try:
        yield client
    except RedisError as error:
        fail(f"--from {other.address}: {error}", Status.REDIS)
    finally:
        client.close()
        pool = getattr(client, "connection_pool", None)  # A cluster's client has none, and closes what it has.
        if pool is not None:
            pool.disconnect()


def _pair(text: str) -> tuple[str, str]:
    task, equals, actor = text.partition("=")
    if not task or not equals or not actor:
        fail(f"--map is TASK=ACTOR, not {text[:100]!r}", Status.USAGE)
    return task, actor


def _news(output: Format, dry_run: bool) -> Any:
    told = 0

    def tell(report: Report) -> None:
        nonlocal told
        if output is Format.TABLE and sys.stderr.isatty() and report.found >= told + _NEWS:
            told = report.found
            say(f"… {report.found:,} looked at, {report.moved:,} {'could be ' if dry_run else ''}moved")

    return tell


def _show(report: Report, queue: str, target: str, dry_run: bool, output: Format) -> None:
    if output is not Format.TABLE:
        show_value({"queue": queue, "to_queue": target, "dry_run": dry_run, **report_values(report)}, output)
        return
    show_facts(
        [
            ("Found", report.found),
            ("Would be moved" if dry_run else "Moved", report.moved),
            ("Here already", report.already_there or None),
            ("Taken meanwhile", f"{report.taken:,}, by a worker there: they may run twice" if report.taken else None),
            ("Stay there", sum(one.count for one in report.skipped.values()) or None),
            ("Left there", None if dry_run else report.left),
        ]
    )
    if report.skipped:
        typer.echo()
        show_table(
            ("WHY THEY STAY", ">JOBS", "FOR EXAMPLE"),
            [
                (
                    one.reason + (f" (see --without {one.waiver})" if one.waiver else ""),
                    one.count,
                    ", ".join(one.examples),
                )
                for one in report.skipped.values()
            ],
            none="",
        )
