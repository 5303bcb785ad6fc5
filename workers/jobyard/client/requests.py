"""What a program asks for, as a message: shared by both clients. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypedDict

from dramatiq import Message

from jobyard.broker.wishes import id_for


class Options(TypedDict, total=False):
    """What may be said of a job besides its arguments. See docs/actors.md and docs/limits.md.

    Attributes:
        delay: not before so many milliseconds, or a timedelta, from now.
        run_at: not before this time, which names its time zone. Not together with `delay`.
        priority: 0 to 100, the lower the sooner.
        key: whose job it is, for limits and turns by key.
        unique: only if no other job has this unique key.
        unique_until: "start", "finish" or a number of seconds.
        debounce: replace the job with the same unique key if that one still waits.
        expires: milliseconds, or a timedelta, within which it must have started.
        deadline: milliseconds, or a timedelta, within which it must have ended.
        tags: by which it is found later.
        idempotency_key: sending it again gives the first job.
        options: other options that the actor's middleware understands, such as `max_retries`.
    """

    delay: int | timedelta
    run_at: datetime
    priority: int
    key: str
    unique: str
    unique_until: str | float
    debounce: bool
    expires: int | timedelta
    deadline: int | timedelta
    tags: Sequence[str]
    idempotency_key: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """A job to be: for `enqueue_many`.

    Attributes:
        actor: the actor's name, as its workers know it.
        queue: the queue that those workers serve.
        wishes: see `Options`, without `delay` and `run_at`, which hold for the whole call.
    """

    actor: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    queue: str = "default"
    wishes: Options = field(default_factory=Options)

    def message(self) -> Message[Any]:
        """As the broker takes it.

        Raises:
            ValueError: it makes no sense.
        """
        if not self.actor:
            raise ValueError("the name of the actor is missing")
        wishes = dict(self.wishes)
        for name in ("delay", "run_at"):
            if name in wishes:
                raise ValueError(f"{name} belongs to the call, not to one of its jobs")
        more: Mapping[str, Any] = wishes.pop("options", {})  # type: ignore[assignment]  # TypedDict.pop knows no types
        unknown = wishes.keys() - Options.__annotations__.keys()
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; other options of an actor go into options={{…}}")
        if "unique" not in wishes and (wishes.keys() & {"unique_until", "debounce"}):
            raise ValueError("unique_until and debounce say more about unique, which is missing")
        if "tags" in wishes:
            wishes["tags"] = list(self.wishes["tags"])
        options = {**more, **{name: value for name, value in wishes.items() if value is not None}}
        return Message(self.queue, self.actor, tuple(self.args), dict(self.kwargs), options)


def id_of(message: Message[Any]) -> str:
    """The id that the broker gives the job of a message."""
    key = message.options.get("idempotency_key")
    return message.message_id if key is None else id_for(str(key), message.queue_name)


def delay_of(
    delay: int | timedelta | None, run_at: datetime | None, now: Callable[[], float] = time.time
) -> int | None:
    """Milliseconds from now; None: at once.

    Raises:
        ValueError: both are given, or the time names no zone.
    """
    if run_at is not None:
        if delay is not None:
            raise ValueError("delay and run_at are two ways to say the same: give one of them")
        if run_at.tzinfo is None:
            raise ValueError("run_at needs a time zone, such as datetime.now(UTC) has")
        return max(0, round((run_at.timestamp() - now()) * 1000))
    if isinstance(delay, timedelta):
        return round(delay.total_seconds() * 1000)
    return delay
