"""Retries: decides whether and when a failed job runs again. The attempts are counted by the broker, crashes included."""

from __future__ import annotations

import random
import time
import traceback
from typing import Any, Self

from dramatiq.common import compute_backoff
from dramatiq.errors import Retry
from dramatiq.middleware import Retries, Shutdown, SkipMessage
from dramatiq.middleware.retries import DEFAULT_MAX_BACKOFF

from jobyard.broker.delivery import Delivery
from jobyard.errors import Cancelled, DeadlineExceeded, PayloadError, PermanentError, RetryAfter
from jobyard.middleware.dependencies import is_outage
from jobyard.retry import RetryPolicy


class JobRetries(Retries):
    """Dramatiq's retries with all their options, and a `RetryPolicy` by the option `retry`.

    Differences: nothing is enqueued (the script that ends the run schedules the next one), a crash of the worker counts
    as an attempt, a shutdown of the worker doesn't, `RetryAfter` doesn't use one, and `PermanentError` has no further one.

    On another broker than Jobyard's, such as Dramatiq's `StubBroker`, it enqueues the message again, as Dramatiq does.
    """

    #: Whether waits are random in part, so that jobs that failed together don't come back together. Tests want them exact.
    jitter = True

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

    def after_skip_message(self, broker: Any, message: Any) -> None:
        if isinstance(message, Delivery) and message.spent:
            self._exhausted(broker, message, message.retries)

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        if exception is None or message.failed or isinstance(exception, Cancelled):
            return
        ours = isinstance(message, Delivery)
        if ours and (message.again is not None or isinstance(exception, Shutdown)):
            return  # It is enqueued again already; or it goes back, and the attempt doesn't count.
        if ours:
            actor = broker.actors.get(message.actor_name)
            message.outage = is_outage(exception, message.options, {} if actor is None else actor.options)
        if isinstance(exception, RetryAfter):
            self._again(broker, message, int(exception.seconds * 1000), counted=False)
            return
        if self._is_final(broker, message, exception):
            self.logger.info("Job %s will not be tried again: %s", message.message_id, type(exception).__name__)
            message.fail()
            if ours:
                message.final = True
            return
        retries = message.attempt - 1 if ours else message.options.get("retries", 0)
        # For middleware and callbacks that look into the message, as they do under Dramatiq.
        message.options["retries"] = retries + 1
        if ours:
            message.retries = retries + 1
        message.options["traceback"] = "".join(traceback.format_exception(exception, limit=30))
        message.options["requeue_timestamp"] = int(time.time() * 1000)
        delay = self._delay(broker, message, retries, exception)
        if delay is None:
            self.logger.warning("Job %s has used up its attempts.", message.message_id)
            message.fail()
            self._exhausted(broker, message, retries)
        else:
            self._again(broker, message, delay, counted=True)

    def _again(self, broker: Any, message: Any, delay: int, *, counted: bool) -> None:
        if isinstance(message, Delivery):
            broker.run_again(message, delay, counted=counted)
        else:
            broker.enqueue(message, delay=delay)

    def _is_final(self, broker: Any, message: Any, exception: BaseException) -> bool:
        """Whether no further attempt can help."""
        throws = message.options.get("throws") or self._option(broker, message, "throws")
        if isinstance(exception, PermanentError | DeadlineExceeded) or (throws and isinstance(exception, throws)):
            return True
        if isinstance(exception, PayloadError) and exception.actor == message.actor_name:
            return True
        policy: RetryPolicy | None = self._option(broker, message, "retry")
        return policy is not None and policy.for_error(exception) is None

    def _delay(self, broker: Any, message: Any, retries: int, exception: BaseException) -> int | None:
        """Milliseconds until the next attempt; None: there is none."""
        retry_when = self._option(broker, message, "retry_when", self.retry_when)
        if retry_when is not None and not retry_when(retries, exception):
            return None
        policy: RetryPolicy | None = self._option(broker, message, "retry")
        if policy is not None:
            most = message.options.get("max_retries")
            applied = policy.for_error(exception)
            wait = applied.wait(retries + 1, random.random if self.jitter else _none) if applied is not None else None
            if wait is None or (most is not None and retries >= most):
                return None
            delay = int(wait * 1000)
        else:
            most = self._setting(broker, message, "max_retries", self.max_retries)
            if retry_when is None and most is not None and retries >= most:
                return None
            shortest = self._setting(broker, message, "min_backoff", self.min_backoff)
            longest = min(self._setting(broker, message, "max_backoff", self.max_backoff), DEFAULT_MAX_BACKOFF)
            _, delay = compute_backoff(retries, factor=shortest, max_backoff=longest, jitter=self.jitter)
        if isinstance(exception, Retry) and exception.delay is not None:
            return int(exception.delay)
        return delay

    def _exhausted(self, broker: Any, message: Any, retries: int) -> None:
        target = message.options.get("on_retry_exhausted") or self._option(broker, message, "on_retry_exhausted")
        if target:
            policy: RetryPolicy | None = self._option(broker, message, "retry")
            most = policy.most_attempts() if policy is not None else None
            limit = self._setting(broker, message, "max_retries", self.max_retries if most is None else most - 1)
            broker.get_actor(target).send(message.asdict(), {"retries": retries, "max_retries": limit})

    def _most_attempts(self, broker: Any, message: Any) -> int | None:
        """The most attempts that any rule gives the job; None: no limit."""
        if self._option(broker, message, "retry_when", self.retry_when) is not None:
            return None
        policy: RetryPolicy | None = self._option(broker, message, "retry")
        most = message.options.get("max_retries")
        if policy is not None and most is None:
            return policy.most_attempts()
        most = self._setting(broker, message, "max_retries", self.max_retries)
        return None if most is None else int(most) + 1

    def _option(self, broker: Any, message: Any, name: str, default: Any = None) -> Any:
        actor = broker.actors.get(message.actor_name)
        return default if actor is None else actor.options.get(name, default)

    def _setting(self, broker: Any, message: Any, name: str, default: Any) -> Any:
        return message.options.get(name, self._option(broker, message, name, default))


def _none() -> float:
    return 0.0
