"""Callbacks on success and on failure."""

import os
from typing import Any

import dramatiq

from dramatiq_programs.notebook import note
from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
dramatiq.set_broker(broker)


@dramatiq.actor
def succeeded(message_data: dict[str, Any], result: Any) -> None:
    note(message_data["args"][0], "succeeded", message_data["message_id"], result)


@dramatiq.actor
def failed(message_data: dict[str, Any], exception_data: dict[str, Any]) -> None:
    note(message_data["args"][0], "failed", message_data["options"].get("retries"), exception_data)


@dramatiq.actor(on_success="succeeded", on_failure="failed", max_retries=1, min_backoff=1, max_backoff=2)
def divides(topic: str, divisor: int) -> float:
    return 6 / divisor


@dramatiq.actor(max_retries=0)
def says_nothing(topic: str, divisor: int) -> float:
    return 6 / divisor


@dramatiq.actor(on_success="nobody_knows_this_one")
def calls_nobody(topic: str) -> str:
    return "done"


@dramatiq.actor(on_success="succeeded")
def returns_what_no_message_can_hold(topic: str) -> object:
    return object()


@dramatiq.actor(on_failure="failed", throws=ValueError)
def throws(topic: str) -> None:
    raise ValueError("expected")
