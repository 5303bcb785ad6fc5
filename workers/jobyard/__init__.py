"""Jobyard: background jobs on Redis, for Python on Kubernetes.

    import jobyard

    @jobyard.actor(queue_name="emails", retry=jobyard.RetryPolicy(attempts=3, initial=2, factor=2))
    def welcome(address: str) -> None: ...

    welcome.send("ada@example.org")

Workers are started by `jobyard worker MODULE`; ordinary Dramatiq actors work just as well.
"""

from jobyard.actor import JobyardActor, actor
from jobyard.batch import Batch, BatchClosed, current_batch
from jobyard.broker import JobyardBroker, get_broker
from jobyard.broker.filters import JobFilter
from jobyard.composition import cancel_group
from jobyard.context import current_job, heartbeat, log, report_progress
from jobyard.errors import (
    Cancelled,
    DeadlineExceeded,
    FieldError,
    HeartbeatTimeout,
    JobyardError,
    MessageTooLarge,
    PayloadError,
    PermanentError,
    Retry,
    RetryAfter,
)
from jobyard.priority import Priority
from jobyard.retry import RetryPolicy

__all__ = [
    # Declaring jobs
    "JobyardActor",
    "Priority",
    "RetryPolicy",
    "actor",
    # The broker
    "JobyardBroker",
    "get_broker",
    "JobFilter",
    # Jobs that belong together
    "Batch",
    "cancel_group",
    "current_batch",
    # Inside a job
    "current_job",
    "heartbeat",
    "log",
    "report_progress",
    # Errors
    "BatchClosed",
    "Cancelled",
    "DeadlineExceeded",
    "FieldError",
    "HeartbeatTimeout",
    "JobyardError",
    "MessageTooLarge",
    "PayloadError",
    "PermanentError",
    "Retry",
    "RetryAfter",
]
