"""Jobs and middleware that enqueue: themselves, others, and what can't be enqueued."""

import os
from typing import Any

import dramatiq
from dramatiq.errors import RateLimitExceeded
from dramatiq.middleware import CurrentMessage, Middleware, Retries

from dramatiq_programs.notebook import count, note
from jobyard import JobyardBroker


class WaitsForALimit(Middleware):
    """Puts off a limited job without counting that as a retry, as many programs do."""

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        if isinstance(exception, RateLimitExceeded):
            broker.enqueue(message, delay=1)


class Repeats(Middleware):
    """Runs a job that succeeded once more, until it has run so often as its option `repeat` says."""

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        left = message.options.get("repeat", 0)
        if exception is None and left > 1:
            broker.enqueue(message.copy(options={"repeat": left - 1}), delay=1)


class GivesAnotherChance(Middleware):
    """Enqueues a job that has used up its retries once more. Stands before the retries, so that it hears of their decision."""

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        if message.failed and message.actor_name == "is_given_another_chance":
            broker.enqueue(message, delay=1)


class Audits(Middleware):
    """Sends a job of its own for each one that ended."""

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        if message.actor_name != "audit" and message.options.get("audited"):
            audit.send(message.options["audited"], message.actor_name)
            # These two can't be sent, which must not matter to the job.
            broker.enqueue(audit.message("x").copy(message_id="y" * 300))
            audit.send(object())


broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
for middleware in (CurrentMessage(), WaitsForALimit(), Repeats(), Audits()):
    broker.add_middleware(middleware)
broker.add_middleware(GivesAnotherChance(), before=Retries)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="audit")
def audit(topic: str, actor_name: str) -> None:
    note(topic, "audited", actor_name)


@dramatiq.actor
def works(topic: str) -> str:
    note(topic, "ran")
    return "done"


@dramatiq.actor(max_retries=0)
def fails(topic: str) -> None:
    raise RuntimeError("on purpose")


@dramatiq.actor(max_retries=None, throws=RateLimitExceeded)
def is_limited(topic: str) -> str:
    if count(topic) < 30:
        raise RateLimitExceeded("not yet")
    message = CurrentMessage.get_current_message()
    assert message is not None
    return f"retries: {message.options.get('retries', 0)}"


@dramatiq.actor(max_retries=1, min_backoff=1, max_backoff=2)
def is_given_another_chance(topic: str) -> str:
    if count(topic) < 6:
        raise RuntimeError("on purpose")
    return "at last"


@dramatiq.actor(max_retries=0)
def sends_itself_and_fails(topic: str) -> str:
    message = CurrentMessage.get_current_message()
    assert message is not None
    if count(topic) > 1:
        return "the second time"
    dramatiq.get_broker().enqueue(message, delay=1)
    raise RuntimeError("on purpose")


@dramatiq.actor
def sends_itself_again(topic: str, times: int) -> str:
    message = CurrentMessage.get_current_message()
    assert message is not None
    note(topic, message.options.get("step", 1))
    step = message.options.get("step", 1)
    if step < times:
        dramatiq.get_broker().enqueue(message.copy(options={"step": step + 1}), delay=1)
    return f"step {step}"
