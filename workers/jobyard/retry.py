"""How often a job is tried, and how long it waits in between. Pure: randomness comes in as an argument."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

ErrorTypes = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off under full control.

    `RetryPolicy(attempts=3, initial=2, factor=2)` tries three times: at once, 2 s after the first failure, 4 s after
    the second; then the job is a dead letter.

    Attributes:
        attempts: how often the job may be tried in all, at least 1; None: without end.
        initial: seconds before the second attempt.
        factor: each further wait is this many times the one before.
        maximum: no wait is longer, in seconds.
        jitter: from 0 (exact) to 1: a wait is shortened by up to this part of itself, at random, so that jobs that failed
            together don't come back together.
        exceptions: rules for some exception types, as `on` and `never` add them; the first that fits counts.
    """

    attempts: int | None = 21
    initial: float = 15.0
    factor: float = 2.0
    maximum: float = 7 * 86400.0
    jitter: float = 0.0
    exceptions: tuple[tuple[ErrorTypes, RetryPolicy | None], ...] = ()

    def __post_init__(self) -> None:
        if self.attempts is not None and self.attempts < 1:
            raise ValueError(f"attempts must be at least 1 (or None: without end), not {self.attempts}")
        if self.initial < 0 or self.maximum < 0:
            raise ValueError("initial and maximum are seconds and can't be negative")
        if self.factor < 1:
            raise ValueError(f"factor must be at least 1, not {self.factor}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be between 0 and 1, not {self.jitter}")

    def on(self, errors: ErrorTypes, policy: RetryPolicy) -> RetryPolicy:
        """The same policy, but these exceptions are retried by `policy`."""
        return replace(self, exceptions=(*self.exceptions, (errors, policy)))

    def never(self, errors: ErrorTypes) -> RetryPolicy:
        """The same policy, but these exceptions make a dead letter at once."""
        return replace(self, exceptions=(*self.exceptions, (errors, None)))

    def for_error(self, error: BaseException) -> RetryPolicy | None:
        """The policy that holds for `error`; None: no retry."""
        for types, policy in self.exceptions:
            if isinstance(error, types):
                return policy
        return self

    def most_attempts(self) -> int | None:
        """The most attempts that this policy, or one of its exceptions, gives; None: without end."""
        limits = [self.attempts, *(policy.attempts for _, policy in self.exceptions if policy is not None)]
        known = [limit for limit in limits if limit is not None]
        return max(known) if len(known) == len(limits) else None

    def wait(self, attempt: int, rand: Callable[[], float] = random.random) -> float | None:
        """Seconds to wait after the failure of attempt number `attempt` (from 1); None: there is no further attempt."""
        if self.attempts is not None and attempt >= self.attempts:
            return None
        try:
            longest = min(self.maximum, self.initial * float(self.factor) ** (attempt - 1))
        except OverflowError:
            longest = self.maximum if self.initial else 0.0
        return longest * (1.0 - self.jitter * rand())
