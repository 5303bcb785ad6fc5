"""Middleware and actors that break in every way."""

import os
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware, MiddlewareError, SkipMessage

from dramatiq_programs.notebook import count, note
from jobyard import JobyardBroker


class VetoError(MiddlewareError):
    """Something that a middleware raises on purpose."""


RAISED = {
    "error": RuntimeError("a bug in a middleware"),
    "veto": VetoError("not now"),
    "skip": SkipMessage("not this one"),
    "exit": SystemExit(3),
}


class Breaks(Middleware):
    """Raises in the hook that the message's option `break_in` names, what its option `by` says; the first time only."""

    def breaks(self, hook: str, message: Any) -> None:
        if message.options.get("break_in") == hook and count(f"{hook} of {message.message_id}") == 1:
            raise RAISED[message.options["by"]]

    def before_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        self.breaks("before_enqueue", message)

    def after_enqueue(self, broker: Any, message: Any, delay: int | None) -> None:
        self.breaks("after_enqueue", message)

    def before_process_message(self, broker: Any, message: Any) -> None:
        if message.options.get("fail_it"):
            message.fail()
        self.breaks("before_process_message", message)

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        self.breaks("after_process_message", message)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        note(message.message_id, "skipped")
        self.breaks("after_skip_message", message)

    def before_ack(self, broker: Any, message: Any) -> None:
        self.breaks("before_ack", message)

    def after_ack(self, broker: Any, message: Any) -> None:
        self.breaks("after_ack", message)

    def before_nack(self, broker: Any, message: Any) -> None:
        self.breaks("before_nack", message)

    def after_nack(self, broker: Any, message: Any) -> None:
        note(message.message_id, "rejected")
        self.breaks("after_nack", message)


class Watches(Middleware):
    """Stands on both sides of the one that breaks."""

    def before_process_message(self, broker: Any, message: Any) -> None:
        note(message.message_id, "before")

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        note(message.message_id, "after", result, type(exception).__name__)


broker = JobyardBroker(os.environ["REDIS_URL"], namespace=os.environ["NAMESPACE"])
broker.add_middleware(Watches())
broker.add_middleware(Breaks())
dramatiq.set_broker(broker)


@dramatiq.actor(max_retries=1, min_backoff=1, max_backoff=2)
def works(topic: str) -> str:
    note(topic, "ran")
    return "result"


@dramatiq.actor(max_retries=0)
def raises(kind: str) -> None:
    raise {"exit": SystemExit(3), "ctrl-c": KeyboardInterrupt(), "skip": SkipMessage("by the job"), "text": Odd()}[kind]


class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError("an exception that can't even say what it is")
