"""The exceptions that an application meets: what it may raise inside a job, and what the broker raises at it.

Errors of the connection to Redis are in `jobyard.broker.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dramatiq
from dramatiq.errors import Retry
from dramatiq.middleware import Interrupt

__all__ = [
    "Cancelled",
    "DeadlineExceeded",
    "FieldError",
    "HeartbeatTimeout",
    "JobyardError",
    "MessageTooLarge",
    "PayloadError",
    "PermanentError",
    "RateLimitExceeded",
    "Retry",
    "RetryAfter",
]


class JobyardError(Exception):
    """Base class of what Jobyard raises."""


class PermanentError(JobyardError):
    """Raise it inside a job that can never succeed: the job becomes a dead letter now, whatever attempts it has left."""


class RetryAfter(JobyardError):
    """Raise it inside a job to run it again after a given time WITHOUT using an attempt.

    For "come back later" answers of another system (HTTP 429 or 503 with Retry-After). `Retry(delay=milliseconds)`, which
    is Dramatiq's own, uses an attempt.

    Args:
        seconds: how long to wait, at least 0.
        reason: for the log and the job's history.
    """

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(reason or f"try again in {seconds:g} s")
        self.seconds = max(0.0, float(seconds))
        self.reason = reason


class Cancelled(Interrupt):
    """Raised inside a running job that somebody cancelled. A BaseException, so that `except Exception` lets it pass."""


class DeadlineExceeded(Interrupt):
    """Raised inside a running job when its deadline is over: the job becomes a dead letter. A BaseException, as `Cancelled`."""


class HeartbeatTimeout(Interrupt):
    """Raised inside a running job that gave no sign of life for its `heartbeat_timeout`: the attempt fails, and is tried again as
    after any other error. A BaseException, as `Cancelled`."""


class RateLimitExceeded(JobyardError, dramatiq.RateLimitExceeded):
    """A queue that rejects what exceeds its rate did not accept a job. `retry_after` says in how many seconds it will."""

    def __init__(self, queue: str, retry_after: float) -> None:
        self.message = f"queue {queue!r} takes no more now; try again in {retry_after:g} s"
        self.queue = queue
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.queue, self.retry_after)


class MessageTooLarge(JobyardError, ValueError):
    """A message was refused since it is larger than the broker takes. `size` and `limit` are in bytes."""

    def __init__(self, actor: str, size: int, limit: int) -> None:
        super().__init__(
            f"a message for {actor!r} has {size} bytes, more than the {limit} that are taken: put what is large into object "
            "storage and send its name, or raise JOBYARD_MAX_MESSAGE_SIZE (max_message_size of the broker)"
        )
        self.actor = actor
        self.size = size
        self.limit = limit

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.actor, self.size, self.limit)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a payload: where (`transformations.resize.width`) and what."""

    path: str
    message: str


class PayloadError(JobyardError, ValueError):
    """A payload was refused at enqueue. `fields` says what is wrong, and where."""

    def __init__(self, actor: str, fields: list[FieldError]) -> None:
        lines = "; ".join(f"{field.path or '(payload)'}: {field.message}" for field in fields)
        super().__init__(f"payload of {actor!r} refused: {lines}")
        self.actor = actor
        self.fields = fields

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.actor, self.fields)
