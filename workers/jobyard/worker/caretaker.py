"""Looks after the jobs that a process holds: time limits, heartbeats, leases, cancels, and what got stuck behind a long job."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from dramatiq.middleware import Interrupt, Shutdown, TimeLimitExceeded

from jobyard.broker.delivery import Delivery
from jobyard.broker.dispatcher import LONGEST_UNSENT, LONGEST_UNSTARTED, RENEWAL, Dispatcher
from jobyard.broker.errors import BrokerError
from jobyard.errors import Cancelled, DeadlineExceeded, HeartbeatTimeout
from jobyard.worker.interrupts import Seat
from jobyard.worker.listener import Listener

#: How often a busy process is looked after, in seconds.
TICK: Final = 0.01
#: Seconds until leases are renewed again when that failed: after an outage Redis gives workers a few seconds to do it.
RENEWAL_PAUSE: Final = 0.5


class LeaseLost(Interrupt):
    """Raised in a job whose lease ran out: another worker may run it by now, and what this run returns will not count."""


class Caretaker:
    """A thread of a worker. Costs nothing while no job is held.

    Args:
        seats: where the worker's threads run jobs.
        flush: delivers what is finished; raises nothing.
    """

    def __init__(
        self, dispatcher: Dispatcher, seats: Sequence[Seat], flush: Callable[[], None], logger: logging.Logger
    ) -> None:
        self._dispatcher = dispatcher
        self._seats = seats
        self._flush = flush
        self._logger = logger
        self._listener = Listener(dispatcher.broker, dispatcher.token)
        self._held = threading.Event()  # there may be something to look after
        self._stopped = threading.Event()
        self._alive_at = time.monotonic()
        self.thread = threading.Thread(target=self._look_after, name="jobyard-care", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._listener.start()
        self.thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        self._held.set()
        self._listener.stop()
        self.thread.join(5)

    def jobs_came(self) -> None:
        """There is something to look after."""
        self._held.set()

    def notify_shutdown(self, wants_notice: Callable[[Delivery], bool]) -> None:
        """Interrupt those running jobs that want to know that the worker stops."""
        for seat in self._seats:
            delivery = seat.delivery
            if delivery is not None and wants_notice(delivery):
                seat.strike(delivery, Shutdown)

    @property
    def silent_for(self) -> float:
        """For how many seconds nobody has looked."""
        return time.monotonic() - self._alive_at

    def _look_after(self) -> None:
        dispatcher = self._dispatcher
        renewal = time.monotonic() + dispatcher.lease / 3
        while not self._stopped.is_set():
            now = self._alive_at = time.monotonic()
            if not dispatcher.held and not dispatcher.pending:
                self._held.clear()
                # Looked at again, since something may have come just before the event was cleared.
                if not dispatcher.held:
                    self._held.wait(RENEWAL)
                continue
            self._enforce_limits(now)
            if now >= renewal or self._listener.take():
                renewal = now + (dispatcher.lease / 3 if self._renew() else RENEWAL_PAUSE)
            if dispatcher.return_unstarted(LONGEST_UNSTARTED) or dispatcher.unsent_for() > LONGEST_UNSENT:
                self._flush()
            self._stopped.wait(TICK)

    def _enforce_limits(self, now: float) -> None:
        for seat in self._seats:
            delivery = seat.delivery
            if delivery is not None and now >= seat.deadline and seat.strike(delivery, TimeLimitExceeded):
                self._logger.warning("Job %s exceeded its time limit.", delivery.message_id)
            elif (
                delivery is not None
                and now - delivery.beat_at >= seat.silence
                and seat.strike(delivery, HeartbeatTimeout)
            ):
                self._logger.warning("Job %s has given no sign of life for too long.", delivery.message_id)

    def _renew(self) -> bool:
        """Keep the leases, and hear who shall stop. False: Redis is away."""
        try:
            lost, cancels = self._dispatcher.renew()
        except BrokerError as error:
            self._logger.warning("Could not renew leases: %s", error)
            return False
        for delivery in lost:
            delivery.lost = True
            self._logger.warning("The lease of job %s has run out; its run is stopped.", delivery.message_id)
            self._strike(delivery, LeaseLost)
        for delivery in cancels:
            delivery.cancelled = True
            self._strike(delivery, DeadlineExceeded if delivery.late else Cancelled)
        return True

    def _strike(self, delivery: Delivery, interrupt: type[Interrupt]) -> None:
        for seat in self._seats:
            if seat.strike(delivery, interrupt):
                return
