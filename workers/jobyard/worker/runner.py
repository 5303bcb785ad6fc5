"""Runs one job: middleware, actor, middleware. Decides nothing about the queue, and writes nothing to Redis."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final

from dramatiq.errors import ActorNotFound, RateLimitExceeded, Retry
from dramatiq.logging import get_logger
from dramatiq.middleware import MiddlewareError, ShutdownNotifications, SkipMessage, TimeLimit

from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import OF_ONE_ATTEMPT, Again, Delivery
from jobyard.broker.envelope import seal
from jobyard.broker.hooks import Hooks
from jobyard.broker.protection import KeyMissingError
from jobyard.broker.wishes import milliseconds
from jobyard.context import enter, leave
from jobyard.errors import Cancelled, RetryAfter
from jobyard.worker.interrupts import Seat
from jobyard.worker.missing_keys import MissingKeys
from jobyard.worker.tally import Tally

#: A job whose actor this worker doesn't know is offered again after so many milliseconds, since during a roll-out the next
#: worker may know it, …
UNKNOWN_ACTOR_PAUSE: Final = 2_000
#: … until it has waited so many milliseconds. Then it is a dead letter.
UNKNOWN_ACTOR_PATIENCE: Final = 600_000
#: The option in which a message carries since when it waits.
UNKNOWN_SINCE: Final = "jobyard_unknown_since"

_NO_LIMIT: Final = float("inf")


class Runner:
    """Runs jobs for one worker; called by its threads, each with a seat of its own."""

    def __init__(self, broker: JobyardBroker, tally: Tally) -> None:
        self._broker = broker
        self._tally = tally
        self._logger = get_logger(__name__, type(self))
        self._missing_keys = MissingKeys(UNKNOWN_ACTOR_PATIENCE / 1000)
        self._bind()

    def _bind(self) -> None:
        broker = self._broker
        self._bound = broker.hooks
        # These two interrupt jobs; here that is the seat's work, which does it without hitting anything else.
        seated = (TimeLimit, ShutdownNotifications)
        hooks = self._hooks = Hooks(
            [one for one in broker.middleware if type(one) not in seated], broker.logger, contained=BaseException
        )
        self._before = hooks.bound("before_process_message")
        self._after = hooks.bound("after_process_message")
        self._has_ack_hooks = bool(hooks.bound("before_ack") or hooks.bound("after_ack"))
        self._time_limit = next((one.time_limit for one in broker.middleware if isinstance(one, TimeLimit)), _NO_LIMIT)
        self._notify = any(one.notify_shutdown for one in broker.middleware if isinstance(one, ShutdownNotifications))

    def run(self, delivery: Delivery, seat: Seat) -> None:
        """Run a job. Afterwards the delivery says what shall become of it. Raises nothing."""
        actor = self._broker.actors.get(delivery.actor_name)
        if actor is None or delivery.error is not None:
            self._cannot_run(delivery)
        else:
            if self._bound is not self._broker.hooks:
                self._bind()  # Middleware was added meanwhile.
            current = enter(delivery)
            try:
                self._process(delivery, actor, seat)
            finally:
                leave(current)
        seconds = time.monotonic() - delivery.started_at
        self._tally.ended(delivery.queue_name, delivery.actor_name, delivery.outcome(), seconds)

    def wants_shutdown_notice(self, delivery: Delivery) -> bool:
        """Whether the running job asked to be interrupted when the worker stops."""
        actor = self._broker.actors.get(delivery.actor_name)
        own = delivery.options.get("notify_shutdown", actor and actor.options.get("notify_shutdown"))
        return self._notify if own is None else bool(own)

    def _process(self, delivery: Delivery, actor: Any, seat: Seat) -> None:
        broker = self._broker
        result: Any = None
        error: BaseException | None = None
        try:
            for hook in self._before:
                try:
                    hook(broker, delivery)
                except MiddlewareError:
                    raise
                except Exception:  # As in Dramatiq: one broken middleware must not stop the others.
                    self._logger.critical("Unexpected failure in %s.", hook, exc_info=True)
            if not delivery.failed:
                limit = delivery.options.get("time_limit") or actor.options.get("time_limit") or self._time_limit
                beat = delivery.options.get("heartbeat_timeout") or actor.options.get("heartbeat_timeout")
                silence = _NO_LIMIT if beat is None else milliseconds("heartbeat_timeout", beat) / 1000
                result, error = seat.call(delivery, delivery.started_at + limit / 1000, actor, silence)
        except BaseException as raised:  # noqa: BLE001 - as in Dramatiq it is the job's failure; so is a senseless option
            error = raised
        if error is not None:
            if isinstance(error, SkipMessage):
                self._skipped(delivery, error)
                return
            delivery.stuff_exception(error)
            self._log_failure(delivery, actor, error)
        if self._after:
            with broker.recording(delivery):
                self._hooks.after("after_process_message", broker, delivery, result=result, exception=error)
        self._acknowledge(delivery)

    def _skipped(self, delivery: Delivery, skip: SkipMessage) -> None:
        if delivery.failed:
            delivery.stuff_exception(skip)
        self._logger.warning("Job %s was skipped: %s", delivery.message_id, skip)
        with self._broker.recording(delivery):
            self._hooks.after("after_skip_message", self._broker, delivery)
        self._acknowledge(delivery)

    def _acknowledge(self, delivery: Delivery) -> None:
        """Dramatiq's hooks around the end of a job. They run before the end is written, so that what they send is part of it."""
        broker = self._broker
        if delivery.outcome() in ("dead", "spent"):
            delivery.fail()
            with broker.recording(delivery):
                self._hooks.before("before_nack", broker, delivery)
                self._hooks.after("after_nack", broker, delivery)
        elif self._has_ack_hooks:
            with broker.recording(delivery):
                self._hooks.before("before_ack", broker, delivery)
                self._hooks.after("after_ack", broker, delivery)

    def _cannot_run(self, delivery: Delivery) -> None:
        if isinstance(delivery.error, KeyMissingError):
            if self._missing_keys.may_wait(delivery.error.key, time.monotonic()):
                self._logger.warning("Job %s is put off: %s.", delivery.message_id, delivery.error)
                delivery.again = Again(UNKNOWN_ACTOR_PAUSE, counted=False)
                return
        elif delivery.error is None:
            if self._may_wait(delivery):
                self._logger.info(
                    "Job %s waits for a worker that knows its actor %r.", delivery.message_id, delivery.actor_name
                )
                return
            delivery.stuff_exception(ActorNotFound(delivery.actor_name))
        delivery.fail()
        self._logger.error("Job %s can't be run: %s", delivery.message_id, delivery.error or delivery._exception)

    def _may_wait(self, delivery: Delivery) -> bool:
        """Let the job run later. False: it has waited long enough.

        Counted from when a worker first met it, which is noted in the message: a delayed job, one from a long backlog or a
        revived dead letter is old without having waited for a roll-out.
        """
        now = int(time.time() * 1000)
        since = delivery.options.get(UNKNOWN_SINCE)
        waited = now - since if isinstance(since, int) else -1
        if UNKNOWN_ACTOR_PATIENCE <= waited < 2 * UNKNOWN_ACTOR_PATIENCE:
            return False
        envelope = None
        if not 0 <= waited < UNKNOWN_ACTOR_PATIENCE:
            options = {name: value for name, value in delivery.options.items() if name not in OF_ONE_ATTEMPT}
            message = replace(delivery._message, options={**options, UNKNOWN_SINCE: now})
            envelope = seal(message, delivery.priority, self._broker.protection)
        delivery.again = Again(UNKNOWN_ACTOR_PAUSE, counted=False, envelope=envelope)
        return True

    def _log_failure(self, delivery: Delivery, actor: Any, error: BaseException) -> None:
        throws = delivery.options.get("throws") or actor.options.get("throws")
        if isinstance(error, Cancelled | Retry | RetryAfter | RateLimitExceeded):
            self._logger.info(
                "Job %s (%s): %s", delivery.message_id, delivery.actor_name, error or type(error).__name__
            )
        elif throws and isinstance(error, throws):
            self._logger.info("Job %s failed with the expected %s.", delivery.message_id, type(error).__name__)
        else:
            self._logger.error(
                "Job %s (%s) failed in attempt %d.",
                delivery.message_id,
                delivery.actor_name,
                delivery.attempt,
                exc_info=error,
            )
