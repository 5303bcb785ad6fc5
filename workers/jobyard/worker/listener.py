"""Hears when somebody cancels a job of this worker. Only a nudge: leases are renewed in any case, and that tells it too."""

from __future__ import annotations

import contextlib
import threading

from jobyard.broker import JobyardBroker, keys
from jobyard.broker.errors import WIRE_ERRORS


class Listener:
    """A thread that listens on the worker's channel."""

    def __init__(self, broker: JobyardBroker, token: str) -> None:
        self._broker = broker
        self._channel = keys.worker_channel(broker.namespace, token)
        self._nudged = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="jobyard-listen", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self) -> bool:
        """Whether somebody called since the last time."""
        if self._nudged.is_set():
            self._nudged.clear()
            return True
        return False

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        # It waits for a message, so send it one. Where that fails, it looks by itself within a second.
        with contextlib.suppress(*WIRE_ERRORS):
            self._broker.server.client().publish(self._channel, b"stop")
        self._thread.join(3)

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._broker.server.client().pubsub() as pubsub:
                    # That it listens now is a nudge as well: somebody may have called just before.
                    pubsub.subscribe(self._channel)
                    while not self._stopped.is_set():
                        if pubsub.get_message(timeout=1.0) is not None:
                            self._nudged.set()
            except WIRE_ERRORS:
                self._stopped.wait(1.0)
