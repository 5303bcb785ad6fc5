"""Actors of one module."""

import dramatiq

from dramatiq_programs.notebook import note
from dramatiq_programs.shop import setup  # noqa: F401 - the broker comes first


@dramatiq.actor(queue_name="stock")
def take(topic: str, thing: str) -> None:
    note(topic, "taken", thing)
