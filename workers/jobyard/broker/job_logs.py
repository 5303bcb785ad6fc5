"""What a job logs is kept with it: the lines in this process, on their way to Redis, and as they are read again.

Lines are numbered in each run, so that the same lines may be sent twice: by the thread that sends while the job runs, and with
the job's end. Nothing here ever waits for Redis, takes a lock or raises in the job's thread.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import msgspec

from jobyard.broker.errors import BrokerError
from jobyard.broker.link import Link
from jobyard.broker.protection import Protection
from jobyard.broker.scripts import script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker
    from jobyard.broker.delivery import Delivery

#: So many lines are kept of a job, the newest. `lua/include/logs.lua` has the same figure, and one for bytes.
MOST_LINES: Final = 200
#: Longest line, in characters.
LONGEST_LINE: Final = 2_000
LONGEST_LOGGER: Final = 100
#: While a job runs, what it logs is sent at most once in so many seconds.
INTERVAL: Final = 0.5


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a job has logged.

    Attributes:
        at: UNIX time in milliseconds, by the worker's clock.
        level: `info`, `warning`, …
        logger: the logger's name; `jobyard.log` for lines of `jobyard.log()`.
        message: one text, perhaps of several lines; with the traceback where one was logged.
        attempt: in which attempt, from 1.
    """

    at: int
    level: str
    logger: str
    message: str
    attempt: int


class JobLogs(list[LogLine]):
    """The lines of a job, the oldest first. `dropped` says how many more there were."""

    def __init__(self, lines: Iterable[LogLine] = (), dropped: int = 0) -> None:
        super().__init__(lines)
        self.dropped = dropped

    @classmethod
    def decode(cls, stored: bytes | None, protection: Protection, queue: str, job_id: str) -> JobLogs:
        """From what `lua/include/logs.lua` stores. A message that can't be decrypted says so."""
        if not stored:
            return cls()
        head, *lines = stored.split(b"\n")
        return cls([_decoded(line, protection, queue, job_id) for line in lines], int(head.split(b" ")[0]))


def _encoded(line: LogLine, protection: Protection | None, queue: str, job_id: str) -> bytes:
    if protection is None or not protection.encrypts:
        return msgspec.json.encode((line.at, line.level, line.logger, line.message, line.attempt))
    # As errors are: of a line, too, only the message may hold the job's data.
    return protection.seal_error(msgspec.json.encode(line), queue, job_id)


def _decoded(text: bytes, protection: Protection, queue: str, job_id: str) -> LogLine:
    fields = msgspec.json.decode(text)
    if isinstance(fields, list):
        return LogLine(*fields)
    opened = protection.open_error(fields, queue, job_id)
    return LogLine(*(opened[name] for name in ("at", "level", "logger", "message", "attempt")))


class Lines:
    """The lines of one run that are not known to be in Redis: the newest `MOST_LINES`.

    Args:
        protection: encrypts them, if it encrypts.
        queue, job_id: whose they are.
    """

    __slots__ = ("_lines", "_numbers", "_sent", "_whose", "closed", "waiting")

    def __init__(self, protection: Protection | None, queue: str, job_id: str) -> None:
        self._whose = (protection, queue, job_id)
        self._lines: deque[tuple[int, bytes]] = deque(maxlen=MOST_LINES)
        self._numbers = itertools.count()
        self._sent = 0
        #: Whether the sender has been told of them.
        self.waiting = False
        #: The run has ended: what is left goes with its end.
        self.closed = False

    def add(self, line: LogLine) -> None:
        self._lines.append((next(self._numbers), _encoded(line, *self._whose)))

    def unsent(self) -> tuple[int, int, bytes]:
        """The number of the first line, the number after the last, and the lines as the scripts take them; empty: none."""
        lines = [line for line in self._lines.copy() if line[0] >= self._sent]
        return (lines[0][0], lines[-1][0] + 1, b"\n".join(text for _, text in lines)) if lines else (0, 0, b"")

    def arrived(self, end: int) -> None:
        """Redis has those before `end`."""
        self._sent = max(self._sent, end)


class LogSender:
    """One connection and one thread for all jobs of a worker. What can't be sent now goes with the job's end, or gets lost."""

    def __init__(self, broker: JobyardBroker, token: str) -> None:
        self._broker = broker
        self._token = token
        self._link = Link(broker.server, patience=0)
        self._told: SimpleQueue[Delivery | None] = SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="jobyard-job-logs", daemon=True)

    def start(self) -> Callable[[Delivery], None]:
        """Start the thread. Returns what takes a delivery that has new lines, and returns at once."""
        self._thread.start()
        return self._told.put

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._told.put(None)
        self._thread.join(5)

    def _work(self) -> None:
        while not self._stopped.is_set():
            told = [self._told.get()]
            # Until then more lines come together, and short jobs have ended: these need nothing from here.
            self._stopped.wait(INTERVAL)
            while not self._told.empty():
                told.append(self._told.get())
            for delivery in told:
                if delivery is not None and not self._stopped.is_set():
                    self._send(delivery)
        self._link.close()

    def _send(self, delivery: Delivery) -> None:
        lines = delivery.lines
        if lines is None or lines.closed:
            return
        lines.waiting = False
        first, end, text = lines.unsent()
        if not text:
            return
        arguments = (self._token, delivery.message_id, delivery.call, first, text)
        try:
            self._link.call(script("log"), self._broker.keys(delivery.queue_name).all, arguments)
            lines.arrived(end)
        except BrokerError as error:
            self._broker.logger.debug("Log lines of job %s were not stored: %s", delivery.message_id, error)
