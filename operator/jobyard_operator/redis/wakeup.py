"""A queue without pods sleeps: the operator hears at once of the first job that comes to it, or is due in it."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from jobyard.broker import JobyardBroker, keys
from jobyard.broker.errors import WIRE_ERRORS
from jobyard_operator.redis.epoch import write

#: Seconds between two tries to connect: doubled each time, up to the longest, and shortened at random.
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
#: Seconds of silence after which the connection is tried, and after which it is taken to be dead.
_QUIET: Final = 5.0
_DEAD: Final = 10.0
#: Seconds between two looks whether it shall stop.
_TURN: Final = 0.5

_logger = logging.getLogger("jobyard.operator")


def sleep(broker: JobyardBroker, queue: str, epoch: int, *, ahead: float | None = None) -> bool:
    """Let a queue sleep: with the first job that is accepted, revived or becomes due, the queue's name is published, once, and
    the queue is awake again.

    Args:
        ahead: seconds; the caller knows of the delayed jobs that are due later than that, and looks again in time. None: there
            must be none.

    Returns:
        Whether it sleeps now. Otherwise something is there, and nothing was changed: look again.

    Raises:
        Superseded: nothing was changed.
        BrokerError: it is not known whether it sleeps. Doing it again is safe.
    """
    known = "" if ahead is None else max(0, round(ahead * 1000))
    asleep, _ = write(broker, "sleep", queue, epoch, known)
    return bool(asleep)


class Listener:
    """A thread that hears of queues that wake up. It has a connection of its own, and makes a new one when that breaks.

    Args:
        on_wake: called in that thread with the name of a queue that slept and has a job now. And with '' when it begins to
            listen, also after each break: something may have been missed, so look at all queues. What it raises is logged.
    """

    def __init__(self, broker: JobyardBroker, on_wake: Callable[[str], None]) -> None:
        self._broker = broker
        self._channel = keys.operator_channel(broker.namespace)
        self._on_wake = on_wake
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobyard-wakeup", daemon=True)

    def start(self) -> None:
        """Begin to listen; doesn't wait until it does."""
        self._thread.start()

    def stop(self, timeout: float = _DEAD) -> None:
        """End the thread. Waits for it, for up to so many seconds; it may take some, if Redis doesn't answer."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        pause, failing = _FIRST_PAUSE, False
        while not self._stopped.is_set():
            begun = time.monotonic()
            try:
                self._listen()
                return
            except WIRE_ERRORS as error:
                if not failing:
                    _logger.warning("Wake-ups are not heard, queues are looked at in turn: %s", error)
                failing = True
            if time.monotonic() - begun > _LONGEST_PAUSE:
                pause, failing = _FIRST_PAUSE, False  # It was well for a while.
            self._stopped.wait(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, _LONGEST_PAUSE)
            self._refresh()

    def _listen(self) -> None:
        with self._broker.server.client().pubsub() as pubsub:
            pubsub.subscribe(self._channel)
            heard = asked = time.monotonic()
            while not self._stopped.is_set():
                message = pubsub.get_message(timeout=_TURN)
                now = time.monotonic()
                if message is not None:
                    heard = now
                    self._take(message)
                elif now - heard > _DEAD:
                    raise TimeoutError(f"no answer for {_DEAD:g} s")
                elif now - max(heard, asked) > _QUIET:
                    asked = now
                    pubsub.ping()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] not in ("subscribe", "message"):
            return
        name = message["data"].decode(errors="replace") if message["type"] == "message" else ""
        try:
            self._on_wake(name)
        except Exception:
            _logger.exception("A wake-up of queue %r was not taken", name)

    def _refresh(self) -> None:
        """On a cluster, another node may have taken over."""
        try:
            self._broker.server.refresh()
        except WIRE_ERRORS as error:
            _logger.debug("The nodes can't be asked: %s", error)
