"""What the workers of one Redis say of themselves: read once for all its queues, not more often than it changes."""

from __future__ import annotations

import time
from typing import Final

from jobyard.broker.workers import WorkerInfo, list_workers
from jobyard_operator.control.connections import Connection
from jobyard_operator.redis.pods import PodWork, pods_of
from jobyard_operator.redis.service_times import service_times

#: Seconds for which what was read is new enough; workers speak every five.
FRESH: Final = 1.5


class Telemetry:
    """The workers of one Redis and prefix.

    Attributes:
        pods: what each pod's workers have said.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read_at = 0.0
        self._workers: list[WorkerInfo] | None = None
        self._service: dict[str, float] = {}
        self.pods: dict[str, PodWork] = {}

    async def refresh(self) -> None:
        """Read it again, if it is old.

        Raises:
            BrokerError: no answer.
        """
        now = time.monotonic()
        if now - self._read_at < FRESH:
            return
        self._read_at = now
        workers = await self._connection.call(list_workers)
        before, self._workers = self._workers, workers
        self.pods = pods_of(workers)
        self._service |= service_times(workers if before is None else before, workers)

    def service(self, queue: str) -> float | None:
        """Mean seconds of the runs of a queue that ended since this was asked for last; None: none has, as far as is known."""
        return self._service.pop(queue, None)
