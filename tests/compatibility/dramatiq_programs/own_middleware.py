"""A list of middleware of the application's own, with retries that it has written itself."""

import os
import time
from typing import Any

import dramatiq
from dramatiq.middleware import AgeLimit, Callbacks, CurrentMessage, Middleware, Pipelines, Retries, TimeLimit

from dramatiq_programs.notebook import note
from jobyard import JobyardBroker


class Stubborn(Retries):
    """Counts by itself, as `Retries` does, and never gives up on a connection."""

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        if isinstance(exception, ConnectionError):
            message.options["refusals"] = message.options.get("refusals", 0) + 1
            broker.enqueue(message, delay=1)
        else:
            super().after_process_message(broker, message, result=result, exception=exception)


class TakesItsTime(Middleware):
    """Is at it for longer than the time limit, when the job has long been done."""

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        if message.options.get("take_your_time"):
            for _ in range(40):
                time.sleep(0.01)


broker = JobyardBroker(
    os.environ["REDIS_URL"],
    namespace=os.environ["NAMESPACE"],
    middleware=[
        AgeLimit(),
        TimeLimit(time_limit=200, interval=20),
        Callbacks(),
        Pipelines(),
        CurrentMessage(),
        TakesItsTime(),
        Stubborn(max_retries=2, min_backoff=1, max_backoff=2),
    ],
)
dramatiq.set_broker(broker)


@dramatiq.actor
def fails(topic: str) -> None:
    message = CurrentMessage.get_current_message()
    assert message is not None
    note(topic, message.options.get("retries", 0))
    raise RuntimeError("on purpose")


@dramatiq.actor
def is_refused(topic: str, times: int) -> int:
    message = CurrentMessage.get_current_message()
    assert message is not None
    if message.options.get("refusals", 0) < times:
        raise ConnectionError("refused")
    return message.options["refusals"]


@dramatiq.actor(max_retries=0)
def is_done_at_once(topic: str) -> str:
    note(topic, "ran")
    return "done"


@dramatiq.actor(max_retries=0)
def dawdles() -> None:
    while True:
        pass
