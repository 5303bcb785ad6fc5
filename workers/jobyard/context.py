"""What a running job can ask and say: its id, its attempt, whether it is cancelled, how far it is, and lines for its log.

Outside a job `current_job()` is None and the rest does nothing, so that an actor's function can be called
directly, in a test for instance.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol


class CurrentJob(Protocol):
    """The job that this thread or task is running.

    Attributes:
        id: the job's id.
        queue: the queue that it came from.
        actor: the name of its actor.
        attempt: which attempt this is, from 1.
        cancelled: True as soon as somebody has asked to cancel the job. A job that works in steps may look here and stop;
            otherwise `jobyard.errors.Cancelled` is raised in it.
    """

    @property
    def id(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def cancelled(self) -> bool: ...

    def report_progress(self, percent: float, message: str, counts: dict[str, float]) -> None: ...
    def log(self, level: str, logger: str, message: str) -> None: ...
    def heartbeat(self) -> None: ...


_current: ContextVar[CurrentJob | None] = ContextVar("jobyard_current_job", default=None)
enter = _current.set
leave = _current.reset


def current_job() -> CurrentJob | None:
    """The job that is running here, or None."""
    return _current.get()


def report_progress(percent: float, message: str = "", **counts: float) -> None:
    """Tell how far the running job is. Cheap to call often: what is sent to Redis is throttled.

    Args:
        percent: from 0 to 100.
        message: one line for people.
        counts: figures of your own, `rows=1200`.
    """
    job = _current.get()
    if job is not None:
        job.report_progress(min(100.0, max(0.0, float(percent))), message, counts)


def log(message: str, **fields: object) -> None:
    """Keep a line with the running job, for whoever looks at it. Never fails, and never waits for Redis.

    What the job says by `logging` is kept as well; this is for what shall not be in the worker's log.

    Args:
        message: one text.
        fields: written behind it, as `name=value`.
    """
    job = _current.get()
    if job is not None:
        job.log("info", "jobyard.log", " ".join([message, *(f"{name}={value}" for name, value in fields.items())]))


def heartbeat() -> None:
    """The running job is alive. One that has a `heartbeat_timeout` must say so at least that often; so do progress and log lines.

    Costs next to nothing: it stays in this process.
    """
    job = _current.get()
    if job is not None:
        job.heartbeat()
