"""Jobs without actors, and a worker process of which every step is made by the test: fetch, then say what becomes of a job."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from dramatiq import Message

from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import Again, Delivery
from jobyard.broker.dispatcher import Dispatcher
from jobyard.broker.exchange import Answer
from jobyard.broker.inspector import Job


class Hand:
    """A worker process of which every step is made by the test."""

    def __init__(self, broker: JobyardBroker, queues: list[str], lease: float, patience: float) -> None:
        self.broker = broker
        self.dispatcher = Dispatcher(broker, queues, 1, lease=lease)
        self.last = Answer()
        for exchange in self.dispatcher._exchanges:
            exchange._link.patience = patience  # So that a test of an outage need not wait.

    @property
    def token(self) -> str:
        return self.dispatcher.token

    def fetch(self, most: int = 1) -> list[Delivery]:
        """Deliver what is settled, and fetch up to `most` jobs more."""
        dispatcher = self.dispatcher
        dispatcher.appetite.slots = most + len(dispatcher.held)
        if most == 0:
            self.last = dispatcher.flush()
        else:
            self.last = dispatcher.fetch()
        # Not by `take`, which gives back what was fetched too long ago: leases are so short here that a busy machine would do.
        found = list(dispatcher.buffer)
        dispatcher.buffer.clear()
        for delivery in found:
            delivery.started_at = time.monotonic()
        return found

    def fetch_one(self) -> Delivery:
        (delivery,) = self.fetch(1)
        return delivery

    def ids(self, most: int = 1) -> list[str]:
        """The ids of what `fetch` brings."""
        return [delivery.message_id for delivery in self.fetch(most)]

    def settle(self, delivery: Delivery) -> Answer:
        """Deliver what the delivery says now."""
        self.dispatcher.settle(delivery)
        self.fetch(0)
        return self.last

    def done(self, delivery: Delivery, result: bytes | None = None) -> Answer:
        delivery.result = result
        return self.settle(delivery)

    def retry(self, delivery: Delivery, delay: int = 0, *, counted: bool = True) -> Answer:
        delivery.stuff_exception(RuntimeError("on purpose"))
        delivery.again = Again(delay, counted=counted)
        return self.settle(delivery)

    def bury(self, delivery: Delivery, error: BaseException | None = None) -> Answer:
        delivery.stuff_exception(error or RuntimeError("on purpose"))
        delivery.fail()
        return self.settle(delivery)

    def back(self, *deliveries: Delivery) -> Answer:
        self.dispatcher.give_back(deliveries)
        self.fetch(0)
        return self.last

    def renew(self) -> tuple[list[str], list[str]]:
        """Ids that are lost, ids that shall be cancelled."""
        lost, cancels = self.dispatcher.renew()
        return [one.message_id for one in lost], [one.message_id for one in cancels]


class Idler:
    """A worker that does nothing but ask and wait, and counts what that costs."""

    def __init__(self, worker: Hand) -> None:
        self.worker = worker
        self.looks = 0
        self.took: list[str] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._idle, daemon=True)
        self._thread.start()

    def _idle(self) -> None:
        while not self._stopped:
            self.looks += 1
            self.took += self.worker.ids()
            if not self._stopped:
                self.worker.dispatcher.waiter.wait(self.worker.last.wait)

    def stop(self) -> None:
        self._stopped = True
        self.worker.dispatcher.waiter.stop()
        self._thread.join(5)


def message(
    queue: str = "q", *args: Any, actor: str = "work", job_id: str | None = None, **options: Any
) -> Message[Any]:
    """A message for an actor that need not exist."""
    return Message(queue, actor, args, {}, options, job_id or uuid.uuid4().hex, int(time.time() * 1000))


def next_millisecond(broker: JobyardBroker) -> None:
    """Wait until the server's clock goes on, so that what ends next is later: ends are told apart by the millisecond."""
    now = broker.inspector.stats("q").now
    while broker.inspector.stats("q").now == now:
        pass


def look_up(broker: JobyardBroker, job_id: str, *, queue: str | None = None) -> Job:
    """A job that must be known."""
    job = broker.inspector.job(job_id, queue=queue)
    assert job is not None, f"job {job_id} is unknown"
    return job
