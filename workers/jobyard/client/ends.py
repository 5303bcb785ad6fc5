"""Tells when jobs end, however many are waited for: one thread and one connection a queue.

Redis publishes the end of a job that somebody waits for. A message gets lost when a connection breaks, so that all that are
waited for are looked at again every few seconds, and after each new connection.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import WIRE_ERRORS, BrokerError
from jobyard.broker.inspector import LONGEST_SILENCE, Job
from jobyard.broker.paging import pages

Listener = Callable[[Job | None], None]

_AT_ONCE: Final = 500
#: Seconds after which the thread looks whether it shall stop.
_ATTENTION: Final = 0.25
_PAUSE: Final = 0.2


class QueueEnds:
    """The ends of one queue's jobs. Thread-safe. A listener is called once, on some thread, and must not block."""

    def __init__(self, broker: JobyardBroker, queue: str) -> None:
        self._broker = broker
        self._keys = broker.keys(queue)
        self._queue = queue
        self._lock = threading.Lock()
        self._listeners: defaultdict[str, list[Listener]] = defaultdict(list)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"jobyard-ends-{queue}", daemon=True)
        self._thread.start()

    def listen(self, job_id: str, listener: Listener) -> None:
        """Call the listener when the job has ended; with None if there is no such job. Asks Redis.

        Raises:
            BrokerError: it could not be asked. The listener may be called nevertheless.
        """
        with self._lock:
            self._listeners[job_id].append(listener)
        # In this order: first ask to be told, then look. Whatever ends the job afterwards tells us. Where our thread is not
        # listening yet, or no longer, it looks at all when it does.
        self._broker.link.command(b"SADD", self._keys["waiting"], job_id, key=self._keys["waiting"])
        self._look([job_id])

    def forget(self, job_id: str, listener: Listener) -> None:
        """Nobody waits any more."""
        with self._lock:
            left = [one for one in self._listeners.get(job_id, ()) if one is not listener]
            if left:
                self._listeners[job_id] = left
            else:
                self._listeners.pop(job_id, None)

    def close(self) -> None:
        """Stop the thread. Listeners are not called any more."""
        self._stopped.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._hear()
            except (*WIRE_ERRORS, BrokerError):
                # Looking has the patience of all calls; whoever waits has a timeout of their own.
                self._stopped.wait(_PAUSE)
        self._broker.close()

    def _hear(self) -> None:
        with self._broker.server.client().pubsub() as pubsub:
            pubsub.psubscribe(self._keys.finished_channel("*"))
            looked = float("-inf")
            while not self._stopped.is_set():
                message = pubsub.get_message(timeout=_ATTENTION)
                if message is not None and message["type"] == "pmessage":
                    self._look([message["channel"].decode().rpartition(":waiting:")[2]])
                elif message is not None or time.monotonic() - looked > LONGEST_SILENCE:
                    # We have just been told that we are listening; or a message may have got lost.
                    looked = time.monotonic()
                    with self._lock:
                        waited = list(self._listeners)
                    self._look(waited)

    def _look(self, ids: list[str]) -> None:
        """Tell the listeners of those that have ended, or are unknown."""
        for some in pages(ids, _AT_ONCE):
            known = {job.id: job for job in self._broker.inspector.jobs_by_id(self._queue, some)}
            over = [job_id for job_id in some if job_id not in known or known[job_id].ended]
            if not over:
                continue
            # Nothing may be left of jobs that never come.
            self._broker.link.command(b"SREM", self._keys["waiting"], *over, key=self._keys["waiting"])
            for job_id in over:
                with self._lock:
                    listeners = self._listeners.pop(job_id, [])
                for listener in listeners:
                    listener(known.get(job_id))
