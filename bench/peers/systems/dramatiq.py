"""Dramatiq on its own RedisBroker. How many threads and how much prefetch, the command says."""

import dramatiq
import work
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=work.URL)
dramatiq.set_broker(broker)
ACTORS = {kind: dramatiq.actor(job, actor_name=kind, queue_name="bench") for kind, job in work.JOBS.items()}


def send(kind: str, payload: str) -> None:
    ACTORS[kind].send(payload)
