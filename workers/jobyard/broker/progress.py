"""Sends progress reports of running jobs. A report that can't be sent is dropped: the job is what matters."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from jobyard.broker.delivery import Delivery
from jobyard.broker.errors import BrokerError
from jobyard.broker.link import Link
from jobyard.broker.scripts import script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker


class Reporter:
    """One connection for all jobs of a worker."""

    def __init__(self, broker: JobyardBroker, token: str) -> None:
        self._broker = broker
        self._token = token
        self._lock = threading.Lock()
        self._link = Link(broker.server, patience=0)

    def send(self, delivery: Delivery, report: bytes) -> None:
        """Store a report, if the job is still ours."""
        arguments = (self._token, delivery.message_id, delivery.call, report)
        with self._lock:
            try:
                self._link.call(script("report"), self._broker.keys(delivery.queue_name).all, arguments)
            except BrokerError as error:
                self._broker.logger.debug("Progress of job %s was not stored: %s", delivery.message_id, error)

    def close(self) -> None:
        with self._lock:
            self._link.close()
