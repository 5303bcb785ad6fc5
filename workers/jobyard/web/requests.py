"""What a request may say, and what becomes of one that says something else: a problem that names the field.

`Bodies` reads each body before anything else looks at it: so long and so slow, and no more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobyard.web.problems import Kind, Problem

LARGEST_BODY: Final = 1024 * 1024
#: Seconds for the whole body.
_SLOWEST_BODY: Final = 10.0

_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Bodies:
    """Wraps the application: hands it whole bodies, none that is too large or too slow."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            # As GET; the server leaves the body away.
            scope = {**scope, "method": "GET"}
        if scope["method"] in _WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        try:
            body = await _read(Headers(scope=scope), receive)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        handed_over = False

        async def replay() -> Message:
            nonlocal handed_over
            if handed_over:
                return await receive()  # That the client has gone.
            handed_over = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)


async def _read(headers: Headers, receive: Receive) -> bytes:
    declared = headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > LARGEST_BODY:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    more = True
    try:
        async with asyncio.timeout(_SLOWEST_BODY):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(Kind.BODY_TOO_SLOW, "The connection ended before the body did.")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > LARGEST_BODY:
                    raise _too_large()
                chunks.append(chunk)
                more = message.get("more_body", False)
    except TimeoutError:
        raise Problem(Kind.BODY_TOO_SLOW, f"The body was not complete after {_SLOWEST_BODY:g} s.") from None
    return b"".join(chunks)


def _too_large() -> Problem:
    return Problem(Kind.BODY_TOO_LARGE, f"A body may have {LARGEST_BODY:,} bytes.", headers={"Connection": "close"})


async def not_json(request: Request) -> Problem:
    """Why a body is no JSON."""
    try:
        json.loads(await request.body())
    except json.JSONDecodeError as error:
        said = f"{error.msg} (line {error.lineno}, column {error.colno})"
        return Problem(Kind.MALFORMED_JSON, f"The body is not JSON: {said}.")
    except (ValueError, RecursionError):
        pass
    return Problem(Kind.MALFORMED_JSON, "The body is not JSON: it can't be decoded.")


def wrong_fields(errors: Sequence[Any]) -> Problem:
    """What pydantic says of a request's parameters and body, each with the path to the field."""
    wrong = [
        {
            # The first step says where it was: in the query, the path or the body.
            "path": ".".join(str(step) for step in error["loc"][1:]),
            "message": error["msg"].removeprefix("Value error, "),
        }
        for error in errors
    ]
    return wrong_field(*[(one["path"], one["message"]) for one in wrong])


def wrong_field(*wrong: tuple[str, str]) -> Problem:
    """Fields that are wrong: path and reason of each."""
    said = "; ".join(f"{path or '(body)'}: {message}" for path, message in wrong)
    return Problem(Kind.INVALID_REQUEST, said, errors=[{"path": path, "message": message} for path, message in wrong])
