"""Retries: decides whether and when a failed job runs again. The attempts are counted by the broker, crashes included."""

from __future__ import annotations

from typing import Any, Self

from dramatiq.common import compute_backoff
from dramatiq.errors import Retry
from dramatiq.middleware import Retries, Shutdown, SkipMessage
from dramatiq.middleware.retries import DEFAULT_MAX_BACKOFF

from jobyard.broker.delivery import Again, Delivery
from jobyard.errors import Cancelled, PermanentError, RetryAfter
from jobyard.retry import RetryPolicy


class JobRetries(Retries):
    """Dramatiq's retries with all their options, and a `RetryPolicy` by the option `retry`.

    Differences: nothing is enqueued (the script that ends the run schedules the next one), a crash of the worker counts
    as an attempt, `RetryAfter` doesn't use one, and `PermanentError` has no further one.
    """

    @classmethod
    def adopt(cls, other: Retries) -> Self:
        """The same settings."""
        return cls(
            max_retries=other.max_retries,
            min_backoff=other.min_backoff,
            max_backoff=other.max_backoff,
            retry_when=other.retry_when,
        )

    @property
    def actor_options(self) -> set[str]:
        return {*super().actor_options, "retry"}

    def before_process_message(self, broker: Any, message: Any) -> None:
        """A job whose attempts all ended with the death of their worker is not tried once more."""
        if not isinstance(message, Delivery) or message.attempt == 1:
            return
        limit = self._most_attempts(broker, message)
        if limit is not None and message.attempt > limit:
            message.spent = True
            message.fail()
            raise SkipMessage(f"all {limit} attempts are used up")

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        if exception is None:
            return
        if not isinstance(message, Delivery):
            Retries.after_process_message(self, broker, message, result=result, exception=exception)
            return
        if message.failed or isinstance(exception, Cancelled | Shutdown):
            return
        if isinstance(exception, RetryAfter):
            message.again = Again(int(exception.seconds * 1000), counted=False)
            return
        throws = message.options.get("throws") or self._option(broker, message, "throws")
        if isinstance(exception, PermanentError) or (throws and isinstance(exception, throws)):
            message.fail()
            return
        delay = self._delay(broker, message, exception)
        if delay is None:
            message.fail()
            self._exhausted(broker, message)
        else:
            message.again = Again(delay)

    def _delay(self, broker: Any, message: Delivery, exception: BaseException) -> int | None:
        """Milliseconds until the next attempt; None: there is none."""
        retries = message.attempt - 1
        retry_when = self._option(broker, message, "retry_when", self.retry_when)
        if retry_when is not None and not retry_when(retries, exception):
            return None
        policy: RetryPolicy | None = self._option(broker, message, "retry")
        most = message.options.get("max_retries")
        if policy is not None:
            applied = policy.for_error(exception)
            wait = applied.wait(message.attempt) if applied is not None else None
            if wait is None or (most is not None and retries >= most):
                return None
            delay = int(wait * 1000)
        else:
            most = self._setting(broker, message, "max_retries", self.max_retries)
            if retry_when is None and most is not None and retries >= most:
                return None
            shortest = self._setting(broker, message, "min_backoff", self.min_backoff)
            longest = min(self._setting(broker, message, "max_backoff", self.max_backoff), DEFAULT_MAX_BACKOFF)
            _, delay = compute_backoff(retries, factor=shortest, max_backoff=longest)
        if isinstance(exception, Retry) and exception.delay is not None:
            return int(exception.delay)
        return delay

    def _exhausted(self, broker: Any, message: Delivery) -> None:
        target = message.options.get("on_retry_exhausted") or self._option(broker, message, "on_retry_exhausted")
        if target:
            retries = message.attempt - 1
            broker.get_actor(target).send(
                message.asdict(),
                {"retries": retries, "max_retries": self._setting(broker, message, "max_retries", self.max_retries)},
            )

    def _most_attempts(self, broker: Any, message: Delivery) -> int | None:
        """The most attempts that any rule gives the job; None: no limit."""
        if self._option(broker, message, "retry_when", self.retry_when) is not None:
            return None
        policy: RetryPolicy | None = self._option(broker, message, "retry")
        most = message.options.get("max_retries")
        if policy is not None and most is None:
            return policy.most_attempts()
        most = self._setting(broker, message, "max_retries", self.max_retries)
        return None if most is None else int(most) + 1

    def _option(self, broker: Any, message: Delivery, name: str, default: Any = None) -> Any:
        actor = broker.actors.get(message.actor_name)
        return default if actor is None else actor.options.get(name, default)

    def _setting(self, broker: Any, message: Delivery, name: str, default: Any) -> Any:
        return message.options.get(name, self._option(broker, message, name, default))
