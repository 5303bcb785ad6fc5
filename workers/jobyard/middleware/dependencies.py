"""Which failures count against the service that a job depends on. Pure; the circuit breaker itself is in the scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dramatiq.errors import RateLimitExceeded, Retry
from dramatiq.middleware import Interrupt, TimeLimitExceeded

from jobyard.errors import DeadlineExceeded, HeartbeatTimeout, PayloadError, PermanentError, RetryAfter

#: They say something of the job, or are answers that the dependency gave while it was well.
_NOT_ITS_FAULT = (PermanentError, PayloadError, DeadlineExceeded, RetryAfter, Retry, RateLimitExceeded)


def is_outage(error: BaseException, message: Mapping[str, Any], actor: Mapping[str, Any]) -> bool:
    """Whether an error may be the fault of the dependency.

    Args:
        error: what the job raised.
        message, actor: their options. `dependency` names it; `breaker_errors` (exception types) narrows what counts. Otherwise
            everything does but the job's own faults (`PermanentError`, what `throws` names) and interrupts; a time limit and
            a missing heartbeat do.
    """
    if not (message.get("dependency") or actor.get("dependency")):
        return False
    narrowed = actor.get("breaker_errors")
    if narrowed is not None:
        return isinstance(error, narrowed)
    if isinstance(error, TimeLimitExceeded | HeartbeatTimeout):
        return True
    throws = message.get("throws") or actor.get("throws") or ()
    return not isinstance(error, (*_NOT_ITS_FAULT, Interrupt)) and not (throws and isinstance(error, throws))
