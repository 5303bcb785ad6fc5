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
from jobyard.priority import Priority
from jobyard.retry import RetryPolicy

Payload = TypeVar("Payload", bound=BaseModel)


class JobyardActor(dramatiq.Actor[..., Any]):
    """An actor that knows the model of its payload (None: any arguments)."""

    payload: type[BaseModel] | None = None

    def message_with_options(self, *, args: tuple[Any, ...] = (), kwargs: Any = None, **options: Any) -> Any:
        """Build a message; with a payload model, refuse what doesn't fit.

        Raises:
            PayloadError: names every field that is wrong, with its path.
        """
        kwargs = dict(kwargs or {})
        if self.payload is not None:
            if len(args) == 1 and not kwargs and isinstance(args[0], BaseModel):
                args, kwargs = (), args[0].model_dump(mode="json", by_alias=True, exclude_unset=True)
            if args:
                raise PayloadError(self.actor_name, [FieldError("", "takes keyword arguments only")])
            kwargs = check_payload(self.actor_name, self.payload, kwargs)
        return super().message_with_options(args=args, kwargs=kwargs, **options)


def check_payload(actor: str, model: type[BaseModel], fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` as JSON values, checked against `model`. Fields that were not given stay away.

    Raises:
        PayloadError: names every field that is wrong, with its path.
    """
    try:
        return model.model_validate(fields).model_dump(mode="json", by_alias=True, exclude_unset=True)
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
    options.setdefault("broker", get_broker())
    if retry is not None:
        options["retry"] = retry
    declared: JobyardActor = dramatiq.actor(
        fn if payload is None else _with_payload(fn, payload), actor_class=JobyardActor, **options
    )
    declared.payload = payload
    return declared


def _with_payload(fn: Callable[[Any], Any], model: type[BaseModel]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(fn):

        @functools.wraps(fn)
        async def run_async(**fields: Any) -> Any:
            return await fn(model.model_validate(fields))

        return run_async

    @functools.wraps(fn)
    def run(**fields: Any) -> Any:
        return fn(model.model_validate(fields))

    return run
