"""Programs that set an encoder of their own keep it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import dramatiq
import pytest
from dramatiq.encoder import Encoder, JSONEncoder, PickleEncoder

from jobyard.broker import JobyardBroker
from jobyard.worker.worker import JobyardWorker
from support.hand import Hand, look_up, message
from support.waiting import eventually


class DecimalEncoder(Encoder):
    """JSON that knows decimal numbers."""

    def encode(self, data: Any) -> bytes:
        return json.dumps(data, default=lambda value: {"decimal": str(value)}).encode()

    def decode(self, data: bytes) -> Any:
        return json.loads(data, object_hook=lambda found: Decimal(found["decimal"]) if "decimal" in found else found)


@pytest.fixture
def own_encoder() -> Iterator[None]:
    dramatiq.set_encoder(DecimalEncoder())
    yield
    dramatiq.set_encoder(JSONEncoder())


@pytest.mark.usefixtures("own_encoder")
def test_arguments_and_results_go_through_the_programs_encoder(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q", priority=3)
    def double(value: Decimal, by: dict[str, Decimal]) -> Decimal:
        return value * by["factor"]

    start_worker()
    sent = double.send(Decimal("1.5"), by={"factor": Decimal(2)})
    result = sent.get_result(block=True)
    assert (type(result), result) == (Decimal, Decimal("3.0"))
    job = look_up(broker, sent.message_id)
    assert (job.args, job.priority, job.actor) == ((Decimal("1.5"),), 3, "double")


@pytest.mark.usefixtures("own_encoder")
def test_priorities_ageing_and_edits_work_with_it(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    low, high = send("q", Decimal(1), priority=50), send("q", Decimal(2), priority=2)
    worker = hand()
    first = worker.fetch_one()
    assert (first.message_id, first.args) == (high, (Decimal(2),))
    worker.bury(first)
    assert broker.dead_letters.edit_and_retry("q", high, lambda args, kwargs: ([Decimal(9)], kwargs))
    assert [job.args for job in worker.fetch(2)] == [(Decimal(9),), (Decimal(1),)]
    assert low


def test_jobs_of_one_encoder_are_buried_unread_by_a_process_with_another(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    dramatiq.set_encoder(PickleEncoder())
    try:
        sent = broker.enqueue(message("q", {1, 2}))
    finally:
        dramatiq.set_encoder(JSONEncoder())
    worker = start_worker(queues=["q"])
    job = eventually(lambda: (found := look_up(broker, sent.message_id)).state == "dead" and found)
    assert job.errors[0]["error"] == "DecodeError"
    assert worker.complaint() is None
