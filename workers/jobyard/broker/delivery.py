"""One run of a job in a worker, from fetch to finish: the message as middleware sees it, and what shall become of the job.

Middleware records on the delivery; nothing is written to Redis until the one script call that finishes the job.
"""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec
from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.errors import DecodeError
from dramatiq.middleware import Shutdown, SkipMessage

from jobyard.broker.envelope import UNREADABLE, Content, glance, unseal
from jobyard.broker.fingerprint import fingerprint
from jobyard.broker.job_logs import LONGEST_LINE, LONGEST_LOGGER, Lines, LogLine
from jobyard.broker.protection import Protection
from jobyard.errors import Cancelled

#: Longest text that is kept of an error, in characters.
LONGEST_MESSAGE: Final = 2_000
LONGEST_TRACEBACK: Final = 8_000

LONGEST_NAME: Final = 200

#: Progress is sent at most once in so many seconds.
PROGRESS_INTERVAL: Final = 0.5

#: Options of a message that say something of the attempt that failed last. Dramatiq keeps them; here the history does.
OF_ONE_ATTEMPT: Final = ("retries", "traceback", "requeue_timestamp")

#: No job waits for more than so many milliseconds (20 years): more is a mistake, and more than Redis can count.
LONGEST_DELAY: Final = 20 * 366 * 86_400_000


@dataclass(frozen=True, slots=True)
class Again:
    """The job shall run again.

    Attributes:
        delay: in milliseconds.
        counted: whether the attempt that just ended counts.
        envelope: the job's new envelope, where a middleware changed the message; None: unchanged.
        sent: the job or a middleware has enqueued it again, which was accepted: that holds, whatever else becomes of the run.
    """

    delay: int
    counted: bool = True
    envelope: bytes | None = None
    sent: bool = False


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A job on its way to Redis: alone, or together with the end of the one that it follows from.

    `delay` is in milliseconds; `wishes` are packed, see `wishes`.
    """

    queue_name: str
    job_id: str
    envelope: bytes
    priority: int
    delay: int
    wishes: bytes = b""


@dataclass(frozen=True, slots=True)
class Completed:
    """A job that a worker completed: its id, the call that fetched it, and its encoded result (empty: none)."""

    job_id: str
    call: int
    result: bytes = b""


class Delivery(MessageProxy):
    """A message with its run.

    Attributes:
        call: number of the call that fetched it. With the worker's token it is the fence of this run.
        attempt: which attempt this is, from 1.
        retries: the option `retries` as the broker counts it. Where it is higher in the message, a middleware counts, too.
        priority: as at enqueue.
        again: set when the job shall run again.
        final: it failed with an error that no further attempt can cure.
        spent: it had used up its attempts before this one (they killed their workers), so it was not run.
        follow_ups: jobs that start with the end of this one.
        result: what the job returned, encoded; None where there is nothing to keep.
        fetched_at, started_at: `time.monotonic()` of this process; started_at is 0 while it is not started.
        cancelled: somebody asked to cancel the job, or its deadline is over.
        late: its deadline is over.
        outage: it failed, and the service that it depends on may be to blame.
        lost: the lease is gone, somebody else may run the job; what this run ends with will not count.
        error: set instead of a content where the envelope can't be read.
        beat_at: `time.monotonic()` of the job's last sign of life.
        reporter: sends a progress report; None where nobody listens.
        added: what this run has added to its batch: digests, and how often.
        log_sink: is told when there are new `lines`; None: nothing is kept of what the job logs.
        lines: what the job has logged; None: nothing yet.
    """

    # What most runs never change is written here once, and not with each of them: a worker makes tens of thousands a second.
    failed = False
    error: DecodeError | None = None
    again: Again | None = None
    result: bytes | None = None
    spent = final = cancelled = late = outage = lost = False
    started_at = beat_at = 0.0
    reporter: Callable[[Delivery, bytes], None] | None = None
    log_sink: Callable[[Delivery], None] | None = None
    lines: Lines | None = None
    added: Counter[str] | None = None
    _exception: BaseException | None = None
    _built: Message[Any] | None = None
    _kept_error = b""
    _protection: Protection | None = None
    _reported_at = 0.0

    def __init__(
        self,
        queue_name: str,
        job_id: str,
        call: int,
        attempt: int,
        envelope: bytes,
        fetched_at: float,
        protection: Protection | None = None,
    ) -> None:
        try:
            content = unseal(envelope, protection, queue_name, job_id)
        except DecodeError as error:
            # Nothing of it, since Dramatiq's own worker would run what it can read.
            content = Content(UNREADABLE, (), {}, {}, 0, glance(envelope).priority)
            self.error = error
        if protection is not None:
            self._protection = protection
        self.queue_name = queue_name
        self.message_id = job_id
        self.actor_name, self.args, self.kwargs, self.options, self.message_timestamp, self.priority = content
        retries = self.options.get("retries", 0)
        if attempt > 1:
            # Dramatiq counts in the message; here the broker counts, and programs find the figure where they expect it.
            # It is higher where a middleware of theirs has counted by itself.
            retries = self.options["retries"] = max(attempt - 1, retries if isinstance(retries, int) else 0)
        self.retries = retries
        self.call = call
        self.attempt = attempt
        self.follow_ups: list[FollowUp] = []
        self.fetched_at = fetched_at

    @property
    def _message(self) -> Message[Any]:  # type: ignore[override] # a plain attribute in Dramatiq
        # Built on demand: most jobs never need it, and it costs as much as running a small one.
        if self._built is None:
            self._built = Message(
                self.queue_name,
                self.actor_name,
                self.args,
                self.kwargs,
                self.options,
                self.message_id,
                self.message_timestamp,
            )
        return self._built

    # What `jobyard.current_job()` shows of it.

    @property
    def id(self) -> str:
        return self.message_id

    @property
    def queue(self) -> str:
        return self.queue_name

    @property
    def actor(self) -> str:
        return self.actor_name

    def report_progress(self, percent: float, message: str, counts: dict[str, float]) -> None:
        now = self.beat_at = time.monotonic()
        if self.reporter is None or (percent < 100 and now - self._reported_at < PROGRESS_INTERVAL):
            return
        self._reported_at = now
        self.reporter(
            self, msgspec.json.encode({"percent": percent, "message": _printable(message[:200]), "counts": counts})
        )

    def heartbeat(self) -> None:
        self.beat_at = time.monotonic()

    def log(self, level: str, logger: str, message: str, at: int | None = None) -> None:
        self.beat_at = time.monotonic()
        sink = self.log_sink
        if sink is None:
            return
        lines = self.lines
        if lines is None:
            lines = self.lines = Lines(self._protection, self.queue_name, self.message_id)
        if len(message) > LONGEST_LINE:
            message = message[:LONGEST_LINE] + " …"
        at = int(time.time() * 1000) if at is None else at
        lines.add(LogLine(at, level, _printable(logger[:LONGEST_LOGGER]), _printable(message), self.attempt))
        if not lines.waiting:
            lines.waiting = True
            sink(self)

    def outcome(self) -> str:
        """What becomes of the job: completed, retry, later, back, dead, spent or cancelled. See `exchange.lua`."""
        error = self._exception
        if self.spent:
            return "spent"
        if isinstance(error, Cancelled):
            return "cancelled"
        again = self.again
        if self.failed and not (again is not None and again.sent):
            return "dead"
        if again is not None:
            return "retry" if again.counted else "later"
        if isinstance(error, Shutdown):
            return "back"
        # Dramatiq drops a job that failed and that no middleware cared for. We don't.
        if error is not None and not isinstance(error, SkipMessage):
            return "dead"
        return "completed"

    def error_detail(self) -> bytes:
        """The error as a JSON object, for the job's history; empty where there is none."""
        error = self.error or self._exception
        if error is None or self.spent:
            return b""
        detail = self._kept_error or describe(error)
        if self._protection is not None:
            detail = self._protection.seal_error(detail, self.queue_name, self.message_id)
        return detail[:-1] + b',"final":true}' if self.final else detail

    def clear_exception(self) -> None:
        """Dramatiq's worker wants to let go of the exception. What it says decides what becomes of the job, so that stays."""
        self.keep_error()

    def keep_error(self) -> None:
        """Keep the text of the exception and let go of its frames, which hold everything that the job had in hand."""
        if self._exception is not None:
            self._kept_error = describe(self._exception)
            self._exception = self._exception.with_traceback(None)


def describe(error: BaseException, **more: Any) -> bytes:
    """An exception as the JSON object that is kept in a job's history: group, error, place, template, message, traceback,
    worker, image, and `more`. The group comes first: the scripts look for it there."""
    try:
        text = _printable(str(error))
    except Exception:  # noqa: BLE001 - an exception of the application may fail at showing itself in any way
        text = "(its __str__ fails)"
    lines = "".join(traceback.format_exception(error, limit=-30)) if error.__traceback__ is not None else ""
    lines = _printable(lines)
    found = fingerprint(error, text)
    return msgspec.json.encode(
        {
            "group": found.group,
            "error": type(error).__name__,
            "place": found.place,
            "template": found.template,
            "message": text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + " …",
            "traceback": lines if len(lines) <= LONGEST_TRACEBACK else "… " + lines[-LONGEST_TRACEBACK:],
            "worker": worker_name(),
            **image(),
            **more,
        }
    )


def _printable(text: str) -> str:
    # Python strings may hold halves of surrogate pairs, from file names for instance; JSON in UTF-8 can't.
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def image() -> dict[str, str]:
    """The container image that this process runs in, where its environment says it."""
    return _named("image", "JOBYARD_IMAGE")


def pod() -> dict[str, str]:
    """The pod that this process runs in, and its node, where its environment says it."""
    return _named("pod", "JOBYARD_POD_NAME") | _named("node", "JOBYARD_NODE_NAME")


def _named(what: str, variable: str) -> dict[str, str]:
    name = os.environ.get(variable, "")
    return {what: _printable(name)[:LONGEST_NAME]} if name else {}


def worker_name() -> str:
    """How people know this process: the pod's (or host's) name and the process id."""
    return f"{_host()}/{os.getpid()}"


@cache
def _host() -> str:
    return os.environ.get("JOBYARD_POD_NAME") or socket.gethostname()
