"""The broker that a command speaks to, and what becomes of the errors: one sentence and an exit status, never a traceback."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import typer
from pydantic import ValidationError

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerError
from jobyard.broker.inspector import Job
from jobyard.cli.harmless import harmless
from jobyard.cli.statuses import Status
from jobyard.errors import JobyardError
from jobyard.settings import BrokerSettings

#: Seconds: whoever sits at a terminal wants to know soon that Redis is away.
_PATIENCE: Final = 2.0


def fail(sentence: str, status: Status) -> NoReturn:
    """End the command."""
    say(f"jobyard: {sentence}")
    raise typer.Exit(status)


def say(sentence: str) -> None:
    """Tell something to the person, not to the program that reads the output."""
    typer.echo(harmless(sentence), err=True)


@contextmanager
def connected() -> Iterator[JobyardBroker]:
    """The broker of JOBYARD_REDIS_URL and JOBYARD_NAMESPACE, for one command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # The terminal may know fewer characters than jobs do.
    try:
        settings = BrokerSettings()
        broker = settings.model_copy(update={"patience": min(_PATIENCE, settings.patience)}).make_broker()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        fail(f"JOBYARD_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}", Status.USAGE)
    except (JobyardError, ValueError) as error:
        fail(str(error), Status.USAGE)
    log = logging.getLogger("jobyard")
    level = log.level
    # Whoever asks a question needs no advice on the server's settings each time; workers and producers give it.
    log.setLevel(logging.ERROR)
    try:
        yield broker
    except BrokerError as error:
        fail(f"{broker.server.address}: {error}", Status.REDIS)
    except JobyardError as error:
        fail(str(error), Status.NO)
    except ValidationError as error:
        # Only policies are read from Redis in this way. A newer version may have written one, or somebody by hand.
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        fail(
            f"a queue has a policy that can't hold: {reason}; see `jobyard queue policy NAME --unset FIELD`", Status.NO
        )
    finally:
        log.setLevel(level)
        broker.close()


def queue_names(broker: JobyardBroker, wanted: str | None) -> list[str]:
    """The queue that is wanted; None: all. Ends the command if there is no such queue."""
    names = broker.inspector.queues()
    if wanted is None:
        return names
    if wanted not in names:
        there = f"there are {', '.join(names[:20])}{', …' if len(names) > 20 else ''}" if names else "there is none yet"
        fail(f"no queue is called {wanted[:200]!r}: {there}", Status.UNKNOWN)
    return [wanted]


def find_job(broker: JobyardBroker, job_id: str, queue: str | None) -> Job | None:
    """A job, in the queue that is named or the first that knows it."""
    try:
        job_id.encode()
    except UnicodeEncodeError:
        return None
    for name in queue_names(broker, queue):
        job = broker.inspector.job(job_id, queue=name)
        if job is not None:
            return job
    return None


def unknown_job(job_id: str) -> str:
    """What to say where there is no such job."""
    return f"no job has the id {job_id[:300]!r}, or it ended so long ago that it is no longer kept"
