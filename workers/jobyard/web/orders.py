"""A job that somebody wants to be enqueued over REST, and the message that comes of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import dramatiq
from dramatiq import Message
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from jobyard.actor import JobyardActor
from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import LONGEST_DELAY
from jobyard.broker.keys import check_queue_name
from jobyard.broker.wishes import LONGEST_KEY, LONGEST_TAG, LONGEST_TIME, MOST_TAGS
from jobyard.broker.workers import WorkerInfo
from jobyard.errors import MessageTooLarge, PayloadError
from jobyard.priority import PriorityField
from jobyard.web.api.times import Moment
from jobyard.web.problems import Kind, Problem
from jobyard.web.requests import wrong_field

_DEEPEST: Final = 100
#: Names of actors that a refusal lists.
_MOST_NAMES: Final = 30
_WITHOUT_NUL: Final = r"^[^\u0000]+$"

Milliseconds = Annotated[int, Field(ge=1, le=LONGEST_TIME)]
Key = Annotated[str, Field(min_length=1, max_length=LONGEST_KEY, pattern=_WITHOUT_NUL)]


def is_json(value: Any, depth: int = 0) -> Any:
    """Python reads NaN and Infinity, which are none; and what is nested without end costs everybody who looks at it."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("NaN and Infinity are not JSON")
    if depth > _DEEPEST:
        raise ValueError(f"is nested more than {_DEEPEST} levels deep")
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            is_json(item, depth + 1)
    return value


class NewJob(BaseModel):
    """A job to be enqueued. What its actor declares in code (queue, priority, key, uniqueness, its payload's check) is known here
    only if this server imports it; otherwise give it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    actor: Annotated[str, Field(min_length=1, max_length=300, description="The actor's name, as its workers know it.")]
    queue: (
        Annotated[
            str,
            AfterValidator(check_queue_name),
            Field(
                min_length=1,
                max_length=128,
                pattern=r"^[A-Za-z_][A-Za-z0-9._/-]*$",
                description="The queue that they serve. Default: the actor's where it is known here, else `default`.",
            ),
        ]
        | None
    ) = None
    args: Annotated[list[Any], AfterValidator(is_json), Field(description="Positional arguments.")] = []
    kwargs: Annotated[dict[str, Any], AfterValidator(is_json), Field(description="Keyword arguments.")] = {}
    priority: Annotated[PriorityField, Field(description="A level, or 0 to 100: the lower the sooner.")] = None
    delay_ms: (
        Annotated[int, Field(ge=0, le=LONGEST_DELAY, description="Not before so many milliseconds from now.")] | None
    ) = None
    run_at: Annotated[Moment, Field(description="Not before then (ISO 8601). Instead of `delay_ms`.")] | None = None
    key: Annotated[Key, Field(description="Whose job it is, for limits and turns by key.")] | None = None
    unique: Annotated[Key, Field(description="Only if no other job has this unique key.")] | None = None
    unique_until: (
        Annotated[
            Literal["start", "finish"] | Annotated[float, Field(gt=0, le=LONGEST_TIME / 1000)],
            Field(description="Until when it has it: `start`, `finish`, or so many seconds."),
        ]
        | None
    ) = None
    debounce: Annotated[bool, Field(description="Replace the other job with this unique key if it still waits.")] = (
        False
    )
    idempotency_key: Annotated[Key, Field(description="Makes the id: sending it again gives the first job.")] | None = (
        None
    )
    tags: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=LONGEST_TAG)]],
        Field(max_length=MOST_TAGS, description="Texts by which it can be found."),
    ] = []
    expires_ms: Annotated[Milliseconds, Field(description="It must have started by then.")] | None = None
    deadline_ms: Annotated[Milliseconds, Field(description="It must have ended by then.")] | None = None
    max_retries: Annotated[int, Field(ge=0, le=1_000_000, description="Retries after the first attempt.")] | None = None
    min_backoff_ms: Annotated[Milliseconds, Field(description="The first wait before a retry.")] | None = None
    max_backoff_ms: Annotated[Milliseconds, Field(description="The longest one.")] | None = None
    time_limit_ms: Annotated[Milliseconds, Field(description="How long an attempt may run.")] | None = None
    force: Annotated[bool, Field(description="Also where no worker is known that could run it.")] = False

    @model_validator(mode="after")
    def _fits_together(self) -> NewJob:
        if self.delay_ms is not None and self.run_at is not None:
            raise ValueError("delay_ms and run_at both say when: give one of them")
        if self.unique is None and (self.debounce or self.unique_until is not None):
            raise ValueError("unique_until and debounce say more about unique, which is missing")
        return self


def message_of(order: NewJob, broker: JobyardBroker, workers: Sequence[WorkerInfo], where: str = "") -> Message[Any]:
    """The message.

    Args:
        broker: its actors are known to this process: their payload's check, their queue.
        workers: what they say of themselves is known of other actors.
        where: the path to the order in the request's body, with a dot behind it.

    Raises:
        Problem: nobody has such an actor, or its payload doesn't fit.
    """
    actor = broker.actors.get(order.actor)
    queue = order.queue or (actor.queue_name if actor is not None else "default")
    if not order.force and (actor is None or queue != actor.queue_name):
        _check_known(order.actor, queue, workers, where)
    wished: dict[str, Any] = {
        "priority": order.priority,
        "key": order.key,
        "unique": order.unique,
        "unique_until": order.unique_until,
        "debounce": order.debounce or None,
        "idempotency_key": order.idempotency_key,
        "tags": order.tags or None,
        "expires": order.expires_ms,
        "deadline": order.deadline_ms,
        "max_retries": order.max_retries,
        "min_backoff": order.min_backoff_ms,
        "max_backoff": order.max_backoff_ms,
        "time_limit": order.time_limit_ms,
    }
    options = {name: value for name, value in wished.items() if value is not None}
    if actor is None:
        return Message(queue, order.actor, tuple(order.args), order.kwargs, options)
    return _built(actor, order, options, where).copy(queue_name=queue)


def _built(actor: dramatiq.Actor[..., Any], order: NewJob, options: dict[str, Any], where: str) -> Message[Any]:
    if isinstance(actor, JobyardActor) and actor.payload is not None and order.args:
        raise wrong_field((f"{where}args", f"{actor.actor_name} takes keyword arguments only"))
    try:
        built: Message[Any] = actor.message_with_options(args=tuple(order.args), kwargs=order.kwargs, **options)
    except PayloadError as error:
        fields = [(f"{where}kwargs.{field.path}".rstrip("."), field.message) for field in error.fields]
        raise wrong_field(*fields) from None
    return built


def _check_known(actor: str, queue: str, workers: Sequence[WorkerInfo], where: str) -> None:
    serving = [one for one in workers if queue in one.queues]
    if any(actor in one.actors for one in serving):
        return
    names = sorted({name for one in serving for name in one.actors})
    more = ", …" if len(names) > _MOST_NAMES else ""
    there = f"they have {', '.join(names[:_MOST_NAMES])}{more}" if names else "no worker serves it"
    said = f'no worker of queue {queue!r} has an actor {actor[:100]!r}: {there}. With "force": true it is enqueued nevertheless'
    raise wrong_field((f"{where}actor", said))


def said_of(error: Exception, where: str = "") -> Problem:
    """What a broker says of a message that can never be accepted."""
    if isinstance(error, MessageTooLarge):
        return Problem(Kind.JOB_TOO_LARGE, f"The job has {error.size:,} bytes, and {error.limit:,} are taken.")
    return wrong_field((where.rstrip("."), str(error)))
