"""Results, kept with the job by our own backend."""

import os
from typing import Any

import dramatiq

from dramatiq_programs.notebook import note
from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def echo(value: Any) -> Any:
    return value


@dramatiq.actor
def says_nothing_of_results(value: Any) -> Any:
    return value


@dramatiq.actor(store_results=False)
def wants_none_stored(value: Any) -> Any:
    return value


@dramatiq.actor(store_results=True, max_retries=0)
def fails(text: str) -> None:
    raise LookupError(text)


@dramatiq.actor(store_results=True, max_retries=0)
def returns_an_object() -> object:
    return object()


@dramatiq.actor
def returns_an_object_that_nobody_asked_for() -> object:
    return object()


@dramatiq.actor(store_results=True, max_retries=0)
def returns_bytes(count: int) -> str:
    return "x" * count


@dramatiq.actor
def returns_bytes_that_nobody_asked_for(count: int) -> str:
    return "x" * count


@dramatiq.actor(queue_name="kept_for_long", store_results=True, result_ttl=7 * 86_400_000)
def is_kept_for_a_week() -> str:
    return "kept"


@dramatiq.actor(queue_name="kept_for_short", store_results=True, result_ttl=60_000)
def is_kept_for_a_minute() -> str:
    return "kept"


@dramatiq.actor
def waits_for_another(topic: str, value: int) -> None:
    note(topic, echo.send(value).get_result(block=True))
