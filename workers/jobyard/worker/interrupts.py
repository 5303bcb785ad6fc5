"""Interrupting a running job: its time limit, its silence, a cancel, a shutdown. Never anything but the job.

Python can raise an exception in another thread, but it arrives a little later, wherever that thread is by then. So a
thread sits in a seat only while it is inside an actor; interrupts strike under the seat's lock; and whoever leaves the seat
after a strike takes the exception in before going on. No interrupt ever hits middleware, or a connection to Redis.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from dramatiq.middleware import Interrupt, raise_thread_exception

from jobyard.broker.delivery import Delivery
from jobyard.worker.marks import Mark


class Seat:
    """Where one thread sits while it runs an actor."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = 0
        self._struck = False
        self.delivery: Delivery | None = None
        #: Where the thread notes which job it runs, for the case that the process is killed.
        self.mark: Mark | None = None
        #: `time.monotonic()` at which the time limit ends.
        self.deadline = float("inf")
        #: Seconds without a sign of life that are too many.
        self.silence = float("inf")

    def call(
        self, delivery: Delivery, deadline: float, fn: Callable[..., Any], silence: float = float("inf")
    ) -> tuple[Any, BaseException | None]:
        """Run the actor's function. Returns what it returned, and what it raised."""
        result: Any = None
        error: BaseException | None = None
        ended = False
        try:
            with self._lock:
                self._thread = threading.get_ident()
                self.deadline = deadline
                self.silence = silence
                delivery.beat_at = delivery.started_at
                self.delivery = delivery
            try:
                result = fn(*delivery.args, **delivery.kwargs)
            except BaseException as raised:  # noqa: BLE001 - whatever a job raises is its outcome, SystemExit too
                error = raised
            ended = True
            self._leave()
        except Interrupt as interrupt:
            self._leave()
            if not ended:
                # It came before the function had begun. Afterwards, what that returned or raised counts.
                error = interrupt
        return result, error

    def strike(self, delivery: Delivery, interrupt: type[Interrupt]) -> bool:
        """Raise `interrupt` in this delivery's job, if it runs here now and was not struck before."""
        with self._lock:
            if self.delivery is not delivery or self._struck:
                return False
            self._struck = True
            raise_thread_exception(self._thread, interrupt)
            return True

    def _leave(self) -> None:
        with self._lock:
            self.delivery = None
            self.deadline = self.silence = float("inf")
            struck, self._struck = self._struck, False
        if struck:
            # If the exception has not arrived yet, it does within a few steps of the interpreter.
            for _ in range(1000):
                pass
