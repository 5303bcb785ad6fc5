"""For those who stay with Dramatiq's own command line: a consumer a queue, on the same scripts.

`jobyard worker` serves all queues in one call, drains better and is faster; nothing is lost here either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from dramatiq.broker import Consumer, MessageProxy

from jobyard.broker.delivery import Delivery
from jobyard.broker.dispatcher import RENEWAL, Dispatcher
from jobyard.broker.errors import BrokerError
from jobyard.broker.progress import Reporter

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker


class DramatiqConsumer(Consumer):
    """What `JobyardBroker.consume` returns.

    Args:
        prefetch: how many messages Dramatiq's worker wants to hold.
        timeout: in milliseconds, how long `__next__` may block.
    """

    def __init__(self, broker: JobyardBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        self._broker = broker
        self._dispatcher = Dispatcher(broker, [queue_name], slots=prefetch)
        self._reporter = Reporter(broker, self._dispatcher.token)
        self._timeout = timeout / 1000
        self._closed = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name=f"jobyard-renew-{queue_name}", daemon=True)
        self._renewer.start()

    def __next__(self) -> MessageProxy | None:
        delivery = self._next()
        if delivery is not None:
            delivery.reporter = self._reporter.send
        return delivery

    def _next(self) -> Delivery | None:
        dispatcher = self._dispatcher
        delivery = dispatcher.take()
        if delivery is not None:
            return delivery
        if self._broker.worker_stops:
            # Dramatiq keeps its consumers while its threads finish; what they fetched now would only run in a hurry.
            self._closed.wait(0.05)
            return None
        if dispatcher.room() == 0:
            # Full: nothing to do until a worker thread has finished something.
            time.sleep(0.005)
            return None
        try:
            answer = dispatcher.fetch()
            delivery = dispatcher.take()
            if delivery is None:
                dispatcher.waiter.wait(min(self._timeout, answer.wait or self._timeout))
        except BrokerError as error:
            # Not raised: Dramatiq would replace the consumer, and with it what knows which jobs are ours.
            self._broker.logger.warning("%s. Finished jobs are kept and delivered when it is back.", error)
            self._closed.wait(min(self._timeout, 1.0))
        return delivery

    def ack(self, message: MessageProxy) -> None:
        delivery = cast(Delivery, message)
        self._dispatcher.settle(delivery)
        try:
            self._dispatcher.flush()
        except BrokerError as error:
            self._broker.logger.warning("Job %s will be delivered when Redis is back: %s", delivery.message_id, error)

    nack = ack

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        self._dispatcher.give_back(cast("list[Delivery]", list(messages)))
        self._dispatcher.flush()

    def close(self) -> None:
        self._closed.set()
        self._renewer.join()
        try:
            self._dispatcher.return_unstarted()
            self._dispatcher.flush()
        except BrokerError:
            self._broker.logger.warning("Redis can't be reached: jobs return when their lease ends.")
        self._dispatcher.close()
        self._reporter.close()

    def _renew(self) -> None:
        while not self._closed.wait(RENEWAL):
            try:
                lost, cancels = self._dispatcher.renew()
            except BrokerError as error:
                self._broker.logger.warning("Could not renew leases: %s", error)
                continue
            # Nothing interrupts a job here. One that looks at `current_job().cancelled` can stop by itself.
            for delivery in lost:
                delivery.lost = True
            for delivery in cancels:
                delivery.cancelled = True
