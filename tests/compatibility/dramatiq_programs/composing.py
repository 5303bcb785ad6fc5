"""Pipelines and groups, with completion callbacks over Dramatiq's own rate limiter backend."""

import os

import dramatiq
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend

from dramatiq_programs.notebook import note
from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
broker.add_middleware(GroupCallbacks(RedisBackend(client=broker.client)))
dramatiq.set_broker(broker)


@dramatiq.actor
def add(x: int, y: int) -> int:
    return x + y


@dramatiq.actor(queue_name="other")
def double(x: int) -> int:
    return 2 * x


@dramatiq.actor(pipe_ignore=True)
def tells_nobody(x: int) -> int:
    return x


@dramatiq.actor
def remember(topic: str, *results: int) -> int:
    note(topic, *results)
    return len(results)


@dramatiq.actor(max_retries=0)
def fail(*_: int) -> None:
    raise RuntimeError("on purpose")


@dramatiq.actor
def finished(topic: str) -> None:
    note(topic, "all of them")
