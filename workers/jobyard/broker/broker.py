"""`JobyardBroker`: what applications put in place of Dramatiq's `RedisBroker`."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.middleware import Middleware


class JobyardBroker(dramatiq.Broker):
    def __init__(self, url: str = "redis://127.0.0.1:6379/0", *, middleware: list[Middleware] | None = None) -> None:
        self.queues: Any = {}
        super().__init__(middleware=middleware)
        self.queues = {}
        self.actor_options.add("retry")
        self.url = url

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = None
            self.emit_after("declare_queue", queue_name)


def get_broker() -> dramatiq.Broker:
    """Dramatiq's global broker; where none is set yet, a `JobyardBroker` from the settings becomes it."""
    from dramatiq import broker as current

    if current.global_broker is None:
        dramatiq.set_broker(JobyardBroker())
    return dramatiq.get_broker()
