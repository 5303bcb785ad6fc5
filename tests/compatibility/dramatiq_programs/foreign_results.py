"""Results in Dramatiq's own Redis backend, in place of ours."""

import os
from typing import Any

import dramatiq
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
backend = RedisBackend(url=os.environ["REDIS_URL"], namespace=f"results-{os.environ['NAMESPACE']}")
broker.add_middleware(Results(backend=backend))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True, result_ttl=30_000)
def echo(value: Any) -> Any:
    return value


@dramatiq.actor
def says_nothing_of_results(value: Any) -> Any:
    return value


@dramatiq.actor(store_results=True, max_retries=1, min_backoff=1, max_backoff=2)
def fails() -> None:
    raise LookupError("nowhere")


@dramatiq.actor(store_results=True, max_age=1)
def is_stale() -> None: ...
