"""Priorities as Dramatiq has them, and the operations of a broker."""

import os

import dramatiq

from dramatiq_programs.notebook import note
from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
dramatiq.set_broker(broker)


@dramatiq.actor
def ordinary(topic: str) -> None:
    note(topic, "ordinary")


@dramatiq.actor(priority=0)
def zero(topic: str) -> None:
    note(topic, "zero")


@dramatiq.actor(priority=1)
def first(topic: str) -> None:
    note(topic, "first")


@dramatiq.actor(priority=20)
def late(topic: str) -> None:
    note(topic, "late")


@dramatiq.actor(priority=1000)
def very_late(topic: str) -> None:
    note(topic, "very late")


@dramatiq.actor(priority=-3)
def negative(topic: str) -> None:
    note(topic, "negative")
