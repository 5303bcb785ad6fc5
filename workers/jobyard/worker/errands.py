"""What a child does with Redis besides running jobs: it announces itself, looks at the queues, and sees to dead siblings' jobs.

All of it happens in one thread of its own, so that a Redis which doesn't answer delays nothing else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, Literal

from dramatiq.logging import get_logger

from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import Completed
from jobyard.broker.errors import BrokerError
from jobyard.broker.workers import INTERVAL, Announcement, Register
from jobyard.worker.messages import Ask, Figures, NotRevoked, QueueFigures, Revoke, Revoked

#: Seconds until Redis is tried again after it did not answer.
_RETRY: Final = 1.0
#: Seconds after which nobody waits for an answer to `Ask` any more.
_ASK_PATIENCE: Final = 2.0

Answer = Figures | Revoked | NotRevoked


class Errands:
    """One child's errands.

    Args:
        token: the child's name in fences.
        answer: takes what the supervisor shall hear.
        announcement: what the child says of itself now; None: it is no worker, and announces nothing.
        queues: the queues that it serves.
    """

    def __init__(
        self,
        broker: JobyardBroker,
        token: str,
        answer: Callable[[Answer], None],
        *,
        announcement: Callable[[], Announcement] | None = None,
        queues: Sequence[str] = (),
    ) -> None:
        #: Whether Redis answered when it was last tried; None: not tried yet.
        self.redis: bool | None = None
        self._broker = broker
        self._register = Register(broker, token)
        self._answer = answer
        self._announcement = announcement
        self._queues = queues
        self._logger = get_logger(__name__, type(self))
        self._todo: SimpleQueue[tuple[float, Revoke | Ask | Literal["announce", "stop"]]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="jobyard-errands", daemon=True)

    def start(self) -> None:
        """Announce the child, and begin."""
        self._announce()
        self._thread.start()

    def put(self, command: Revoke | Ask) -> None:
        """Do this soon. Returns at once."""
        self._todo.put((time.monotonic(), command))

    def announce(self) -> None:
        """Something has changed that others should see soon. Returns at once."""
        self._todo.put((time.monotonic(), "announce"))

    def stop(self, timeout: float) -> None:
        """Do what there still is to do, take the announcement back, and end; all of that within `timeout` seconds."""
        self._todo.put((time.monotonic(), "stop"))
        self._thread.join(timeout)

    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def _work(self) -> None:
        due = time.monotonic() + (INTERVAL if self.redis else _RETRY)
        while True:
            pause = due - time.monotonic()
            if pause <= 0:
                self._announce()
                due = time.monotonic() + (INTERVAL if self.redis else _RETRY)
                continue
            try:
                asked_at, command = self._todo.get(timeout=pause)
            except Empty:
                continue
            if command == "stop":
                break
            if command == "announce":
                due = asked_at
            elif isinstance(command, Revoke):
                self._revoke(command)
            elif time.monotonic() - asked_at < _ASK_PATIENCE:
                self._look(command)
        self._leave()

    def _announce(self) -> None:
        try:
            if self._announcement is not None:
                self._register.announce(self._announcement())
            self.redis = True
        except BrokerError as error:
            self._logger.debug("Could not announce this worker: %s", error)
            self.redis = False

    def _look(self, ask: Ask) -> None:
        try:
            figures = [self._figures(queue) for queue in self._queues]
        except BrokerError as error:
            self._logger.debug("Could not look at the queues: %s", error)
            self._answer(Figures(ask.number, None))
        else:
            self._answer(Figures(ask.number, figures))

    def _figures(self, queue: str) -> QueueFigures:
        stats = self._broker.inspector.stats(queue)
        oldest = None if stats.oldest_at is None else max(0.0, (stats.now - stats.oldest_at) / 1000)
        return QueueFigures(
            queue, stats.waiting, stats.parked, stats.delayed, stats.active, stats.dead, stats.lost, oldest,
            {one.dependency: one.state != "closed" for one in self._broker.breakers.list(queue)},
        )  # fmt: skip

    def _revoke(self, dead: Revoke) -> None:
        try:
            back, completed = self._broker.revoke(
                dead.token,
                dead.cause,
                started=dead.started,
                completed=[Completed(job.job_id, job.call, job.result) for job in dead.completed],
            )
            self._register.remove(dead.token)
        except BrokerError as error:
            self._answer(NotRevoked(dead.token, str(error)))
        else:
            self._answer(Revoked(dead.token, back, completed))

    def _leave(self) -> None:
        try:
            if self._announcement is not None:
                self._register.remove()
        except BrokerError as error:
            self._logger.debug("Could not take the announcement back; it runs out by itself: %s", error)
        self._register.close()
        self._broker.close()
