"""Actors of another module, which send jobs to those of the first, and find the broker by itself."""

import dramatiq

from dramatiq_programs.shop import setup  # noqa: F401 - the broker comes first
from dramatiq_programs.shop.stock import take


@dramatiq.actor(queue_name="orders")
def order(topic: str, things: list[str]) -> list[str]:
    broker = dramatiq.get_broker()
    sent = [take.send(topic, thing) for thing in things]
    # Sent at once: what this job becomes plays no part in it.
    assert all(broker.inspector.job(message.message_id) is not None for message in sent)
    named = broker.get_actor("take").message(topic, "the last thing")
    broker.enqueue(named)
    return [message.message_id for message in [*sent, named]]


@dramatiq.actor(queue_name="orders", max_retries=0)
def order_and_fail(topic: str) -> None:
    take.send(topic, "a thing")
    raise RuntimeError("after sending")
