"""What a request may say: its body in JSON, its parameters. Anything else becomes a problem that names the field."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from jobyard.web.problems import Kind, Problem

Model = TypeVar("Model", bound=BaseModel)

LARGEST_BODY: Final = 256 * 1024
#: Seconds for the whole body.
_SLOWEST_BODY: Final = 10.0


async def body(request: Request, model: type[Model]) -> Model:
    """The body, as the model says. No body is an empty object.

    Raises:
        Problem: too large, too slow, not JSON, or fields that are wrong.
    """
    raw = await _read(request)
    if not raw:
        return _validate(model, {})
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it can't be decoded"
        raise Problem(Kind.MALFORMED_JSON, f"The body is not JSON: {reason}{where}.") from None
    return _validate(model, fields)


def parameters(request: Request, model: type[Model]) -> Model:
    """The query's parameters, as the model says.

    Raises:
        Problem: names each that is wrong.
    """
    return _validate(model, dict(request.query_params))


async def _read(request: Request) -> bytes:
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > LARGEST_BODY:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_SLOWEST_BODY):
            async for chunk in request.stream():
                size += len(chunk)
                if size > LARGEST_BODY:
                    raise _too_large()
                chunks.append(chunk)
    except TimeoutError:
        raise Problem(Kind.BODY_TOO_SLOW, f"The body was not complete after {_SLOWEST_BODY:g} s.") from None
    return b"".join(chunks)


def _too_large() -> Problem:
    return Problem(Kind.BODY_TOO_LARGE, f"A body may have {LARGEST_BODY:,} bytes.", headers={"Connection": "close"})


def _validate(model: type[Model], fields: Mapping[str, Any]) -> Model:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        wrong = [
            {
                "path": ".".join(str(step) for step in detail["loc"]),
                "message": detail["msg"].removeprefix("Value error, "),
            }
            for detail in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        said = "; ".join(f"{one['path'] or '(body)'}: {one['message']}" for one in wrong)
        raise Problem(Kind.INVALID_REQUEST, said, errors=wrong) from None
