"""Retries, with each of the options that Dramatiq has for them."""

import os

import dramatiq
from dramatiq.middleware import CurrentMessage

from dramatiq_programs.notebook import count, note
from jobyard import JobyardBroker

broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


def note_retries(topic: str) -> None:
    message = CurrentMessage.get_current_message()
    assert message is not None
    note(topic, message.options.get("retries", 0))


@dramatiq.actor(max_retries=2, min_backoff=10, max_backoff=20)
def fails(topic: str) -> None:
    note_retries(topic)
    raise RuntimeError("on purpose")


@dramatiq.actor
def fails_by_default(topic: str) -> None:
    note_retries(topic)
    raise RuntimeError("on purpose")


@dramatiq.actor(min_backoff=60_000, max_backoff=3_600_000)
def fails_patiently(topic: str) -> None:
    note_retries(topic)
    raise RuntimeError("on purpose")


@dramatiq.actor(max_retries=None, min_backoff=1, max_backoff=2)
def succeeds_at_the(topic: str, time: int) -> str:
    if count(topic) < time:
        raise RuntimeError("not yet")
    return "at last"


def is_worth_it(retries: int, exception: BaseException) -> bool:
    return isinstance(exception, ConnectionError) and retries < 2


@dramatiq.actor(retry_when=is_worth_it, max_retries=0, min_backoff=1, max_backoff=2)
def asks_whether(topic: str, kind: str) -> None:
    note_retries(topic)
    raise ConnectionError("worth it") if kind == "connection" else ValueError("not worth it")


@dramatiq.actor(throws=(ValueError, LookupError), min_backoff=1, max_backoff=2)
def throws(topic: str, kind: str) -> None:
    note_retries(topic)
    raise KeyError("expected") if kind == "expected" else RuntimeError("unexpected")


@dramatiq.actor(max_retries=1, min_backoff=1, max_backoff=2, on_retry_exhausted="mourn")
def is_mourned(topic: str) -> None:
    note_retries(topic)
    raise RuntimeError("on purpose")


@dramatiq.actor
def mourn(message_data: dict, retry_info: dict) -> None:
    (topic,) = message_data["args"]
    options = message_data["options"]
    last_line = options["traceback"].strip().splitlines()[-1]
    note(topic, message_data["actor_name"], options["retries"], last_line, retry_info)


@dramatiq.actor(max_retries=3)
def asks_for_another_time(topic: str, delay: int) -> str:
    note_retries(topic)
    if count(topic) < 3:
        raise dramatiq.Retry("later, please", delay=delay)
    return "now"
