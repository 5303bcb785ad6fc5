"""What happens around a job. Middleware only records on the delivery; it never writes to Redis."""

from __future__ import annotations

from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    Middleware,
    Pipelines,
    ShutdownNotifications,
    TimeLimit,
)

from jobyard.middleware.deaths import Deaths
from jobyard.middleware.retries import JobRetries

__all__ = ["Deaths", "JobRetries", "default_middleware"]


def default_middleware() -> list[Middleware]:
    """Dramatiq's own list, with our retries, and with the hook on death. The broker adds results."""
    return [AgeLimit(), TimeLimit(), ShutdownNotifications(), Callbacks(), Pipelines(), Deaths(), JobRetries()]
