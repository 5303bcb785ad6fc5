"""Dramatiq's rate limiters, over its own Redis backend."""

import os
import time

import dramatiq
from dramatiq.rate_limits import BucketRateLimiter, ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend

from dramatiq_programs.notebook import note
from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
dramatiq.set_broker(broker)

backend = RedisBackend(client=broker.client)
PREFIX = os.environ["NAMESPACE"]


@dramatiq.actor(max_retries=None, min_backoff=5, max_backoff=10)
def one_at_a_time(topic: str) -> None:
    with ConcurrentRateLimiter(backend, f"{PREFIX}-{topic}", limit=1).acquire():
        note(topic, "in")
        time.sleep(0.01)
        note(topic, "out")


@dramatiq.actor(max_retries=0)
def two_in_a_bucket(topic: str) -> str:
    with BucketRateLimiter(backend, f"{PREFIX}-{topic}", limit=2, bucket=3_600_000).acquire():
        return "passed"


@dramatiq.actor(max_retries=0)
def two_in_a_window(topic: str) -> str:
    with WindowRateLimiter(backend, f"{PREFIX}-{topic}", limit=2, window=60).acquire():
        return "passed"


@dramatiq.actor
def asks_politely(topic: str) -> str:
    with BucketRateLimiter(backend, f"{PREFIX}-{topic}", limit=1, bucket=3_600_000).acquire(
        raise_on_failure=False
    ) as acquired:
        return "passed" if acquired else "another time"
