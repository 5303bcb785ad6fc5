"""`@jobyard.actor` on a broker that knows no `retry`, such as Dramatiq's `StubBroker` in unit tests.

There a retry policy is told in Dramatiq's own options, as well as these can. What they can't say: a `factor` other than 2,
exact waits (Dramatiq lengthens each by up to its own length at random), waits of their own for some exceptions, and that
`RetryAfter` uses no attempt. `jobyard.testing.stub_broker()` knows all of it.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from jobyard.errors import PermanentError, RetryAfter
from jobyard.retry import RetryPolicy


def dramatiq_options(policy: RetryPolicy | None, given: dict[str, Any], known: Set[str]) -> dict[str, Any]:
    """The options of an actor for Dramatiq's `Retries`.

    Args:
        given: its options as they were declared; they hold.
        known: names of the options that the broker knows.
    """
    never = tuple(types for types, other in policy.exceptions if other is None) if policy is not None else ()
    options: dict[str, Any] = {}
    if policy is not None:
        options |= {
            "max_retries": None if policy.attempts is None else policy.attempts - 1,
            "min_backoff": int(policy.initial * 1000),
            "max_backoff": int(policy.maximum * 1000),
        }
        if len(never) < len(policy.exceptions):
            options["retry_when"] = _retry_when(policy)
    options = {name: value for name, value in options.items() if name in known} | given
    if "throws" in known:
        options["throws"] = _flat((given.get("throws", ()), PermanentError, never))
    return options


def _retry_when(policy: RetryPolicy) -> Any:
    def retry_when(retries: int, error: BaseException) -> bool:
        if isinstance(error, RetryAfter):
            return True
        applied = policy.for_error(error)
        return applied is not None and applied.wait(retries + 1) is not None

    return retry_when


def _flat(types: Any) -> tuple[type[BaseException], ...]:
    if isinstance(types, tuple | list):
        return tuple(one for some in types for one in _flat(some))
    return (types,)
