"""What all routes of the API have in common: the scope that they need, and how the OpenAPI document tells of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from fastapi.routing import APIRoute
from starlette.requests import Request

from jobyard.broker.broker import LONGEST_ID
from jobyard.web.desk import Desk
from jobyard.web.guard import check_access
from jobyard.web.problems import MEDIA_TYPE, Kind
from jobyard.web.tokens import Scope

#: Jobs on a page.
MOST_JOBS: Final = 200

#: A queue's name, for the document: one that can't be is unknown.
QUEUE_SCHEMA: Final[dict[str, Any]] = {"minLength": 1, "maxLength": 128, "pattern": r"^[A-Za-z_][A-Za-z0-9._/-]*$"}

# What doesn't fit into these is unknown, and is answered so: they tell the client only.
JobId = Annotated[
    str,
    Path(
        description="The job's id. One that is not plain has to be percent-encoded, slashes as `%2F`.",
        json_schema_extra={"minLength": 1, "maxLength": LONGEST_ID},
    ),
]
QueueName = Annotated[str, Path(description="The queue's name, slashes as `%2F`.", json_schema_extra=QUEUE_SCHEMA)]
OfQueue = Annotated[
    str | None,
    Query(
        alias="queue",
        description="The job's queue, where two use the same id. Without it, the first that knows the id.",
        json_schema_extra=QUEUE_SCHEMA,
    ),
]
#: What can happen to every request; to one that needs a token; to one that changes something.
_ALWAYS: Final = (Kind.WRONG_HOST, Kind.REDIS_REFUSES, Kind.REDIS_UNAVAILABLE, Kind.OVERLOADED)
_TOKEN: Final = (Kind.UNAUTHORIZED, Kind.INSUFFICIENT_SCOPE)
_CHANGING: Final = (
    Kind.CROSS_ORIGIN, Kind.BODY_TOO_SLOW, Kind.BODY_TOO_LARGE, Kind.NOT_JSON, Kind.REDIS_FULL,
)  # fmt: skip


async def _desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


#: The desk of the application that got the request.
TheDesk = Annotated[Desk, Depends(_desk_of)]


def new_router(tag: str) -> APIRouter:
    """A router for one resource."""
    return APIRouter(tags=[tag], strict_content_type=False, generate_unique_id_function=_name)


def needs(scope: Scope | None, *kinds: Kind, changes: bool = False, body: bool = False) -> dict[str, Any]:
    """Arguments for a route's decorator.

    Args:
        scope: what its caller's token must be good for; None: it needs none.
        kinds: problems of its own.
        changes: it changes something.
        body: it takes one.
    """
    all_kinds = [*kinds, *_ALWAYS, *(() if scope is None else _TOKEN)]
    if changes or body:
        all_kinds += _CHANGING
    if body:
        all_kinds += [Kind.MALFORMED_JSON, Kind.INVALID_REQUEST]
    said: dict[str, Any] = {"responses": responses_of(all_kinds)}
    if scope is not None:
        said["dependencies"] = [Depends(_guarding(scope))]
        said["openapi_extra"] = {"security": [{"token": [scope.value]}]}
    return said


def _guarding(scope: Scope) -> Callable[[Request], Awaitable[None]]:
    async def guard(request: Request) -> None:
        check_access(request.scope, scope)

    return guard


def responses_of(kinds: Iterable[Kind]) -> dict[int | str, dict[str, Any]]:
    """How the document tells of these problems, by status."""
    by_status: dict[int | str, list[Kind]] = {}
    for kind in dict.fromkeys(kinds):
        by_status.setdefault(kind.status, []).append(kind)
    return {
        status: {
            "description": "; ".join(f"{kind.title} (`{kind.uri}`)" for kind in some),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, some in sorted(by_status.items())
    }


def _name(route: APIRoute) -> str:
    return route.name
