"""`@jobyard.actor`: a Dramatiq actor with a retry policy and, if wanted, a payload that is checked at enqueue.

Ordinary `@dramatiq.actor` functions work on the broker just as well.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

import dramatiq
from pydantic import BaseModel, ValidationError

from jobyard.errors import FieldError, PayloadError
from jobyard.foreign_brokers import dramatiq_options
from jobyard.priority import PRIORITY_MARK, Priority, by_name
from jobyard.retry import RetryPolicy

Payload = TypeVar("Payload", bound=BaseModel)


class JobyardActor(dramatiq.Actor[..., Any]):
    """An actor that knows the model of its payload (None: any arguments)."""

    payload: type[BaseModel] | None = None

    def message_with_options(self, *, args: tuple[Any, ...] = (), kwargs: Any = None, **options: Any) -> Any:
        """Build a message; with a payload model, refuse what doesn't fit.

        The payload's field of type `PriorityField`, if it has one and it is given, becomes the message's priority, unless the
        option `priority` says another.

        Raises:
            PayloadError: names every field that is wrong, with its path.
            ValueError: there is no such priority.
        """
        kwargs = dict(kwargs or {})
        if self.payload is not None:
            if len(args) == 1 and not kwargs and isinstance(args[0], BaseModel):
                kwargs = args[0].model_dump(mode="json", by_alias=True, exclude_unset=True)
                args = ()
            if args:
                raise PayloadError(self.actor_name, [FieldError("", "takes keyword arguments only")])
            kwargs = check_payload(self.actor_name, self.payload, kwargs)
            own = kwargs.get(priority_field(self.payload) or "")
            if own is not None:
                options.setdefault("priority", own)
        if options.get("priority") is not None:
            options["priority"] = by_name(options["priority"])
        return super().message_with_options(args=args, kwargs=kwargs, **options)


@functools.cache
def priority_field(model: type[BaseModel]) -> str | None:
    """The name, as it is sent, of the field that is a `PriorityField`; None: the model has none."""
    for name, field in model.model_fields.items():
        if PRIORITY_MARK in field.metadata:
            return field.serialization_alias or field.alias or name
    return None


def check_payload(actor: str, model: type[BaseModel], fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` as JSON values, checked against `model`. Fields that were not given stay away.

    Raises:
        PayloadError: names every field that is wrong, with its path.
    """
    return _read(actor, model, fields).model_dump(mode="json", by_alias=True, exclude_unset=True)


def _read(actor: str, model: type[Payload], fields: dict[str, Any]) -> Payload:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        wrong = [
            FieldError(".".join(str(step) for step in detail["loc"]), detail["msg"])
            for detail in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise PayloadError(actor, wrong) from None


@overload
def actor(fn: Callable[..., Any], /) -> JobyardActor: ...
@overload
def actor(
    *, payload: type[Payload], retry: RetryPolicy | None = None, **options: Any
) -> Callable[[Callable[[Payload], Any]], JobyardActor]: ...
@overload
def actor(*, retry: RetryPolicy | None = None, **options: Any) -> Callable[[Callable[..., Any]], JobyardActor]: ...


def actor(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    payload: type[BaseModel] | None = None,
    retry: RetryPolicy | None = None,
    **options: Any,
) -> Any:
    """Declare an actor.

    Args:
        payload: a pydantic model. The actor is sent keyword arguments (or one instance of the model), which are checked
            at enqueue and again in the worker; the function is called with one instance of the model.
        retry: how often to try and how long to wait.
        options: whatever `dramatiq.actor` takes (`queue_name`, `priority`, `actor_name`, `time_limit`, …).
    """
    if fn is None:
        return functools.partial(actor, payload=payload, retry=retry, **options)

    from jobyard.broker import get_broker

    options.setdefault("priority", Priority.NORMAL)
    options["broker"] = options.get("broker") or get_broker()
    known = options["broker"].actor_options
    if "retry" not in known:
        options = dramatiq_options(retry, options, known)
    elif retry is not None:
        options["retry"] = retry
    run = fn if payload is None else _with_payload(fn, payload, options.get("actor_name") or fn.__name__)
    declared: Any = dramatiq.actor(actor_class=JobyardActor, **options)(run)
    declared.payload = payload
    if retry is not None:
        declared.options["retry"] = retry  # Also for a broker that is taught our retries after this.
    return declared


def _with_payload(fn: Callable[[Any], Any], model: type[BaseModel], actor_name: str) -> Callable[..., Any]:
    # Checked once more, since what was enqueued by an older release may not fit any longer.
    if inspect.iscoroutinefunction(fn):

        @functools.wraps(fn)
        async def run_async(**fields: Any) -> Any:
            return await fn(_read(actor_name, model, fields))

        return run_async

    @functools.wraps(fn)
    def run(**fields: Any) -> Any:
        return fn(_read(actor_name, model, fields))

    return run
