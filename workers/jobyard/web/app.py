"""Puts the ASGI application together. Makes no connection before the first request."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp

from jobyard.broker import JobyardBroker
from jobyard.web import pages
from jobyard.web.api import (
    actions,
    batches,
    dead_letters,
    enqueue,
    events,
    failures,
    health,
    jobs,
    lists,
    policies,
    queues,
    schedules,
    workers,
)
from jobyard.web.api.document import describe
from jobyard.web.backroom import Backroom
from jobyard.web.desk import Desk
from jobyard.web.feed import Feed
from jobyard.web.guard import Guard
from jobyard.web.problems import Kind, Problem
from jobyard.web.requests import Bodies, not_json, wrong_fields
from jobyard.web.settings import WebSettings

_logger: Final = logging.getLogger("jobyard.web")

#: In the order in which their addresses are tried: ids of jobs may contain slashes, so they come last.
_ROUTERS: Final = tuple(
    one.router
    for one in (
        health, policies, queues, dead_letters, failures, batches, schedules, workers, events, lists, enqueue, actions, jobs,
    )
)  # fmt: skip


def create_app(broker: JobyardBroker, settings: WebSettings | None = None, *, feed: Feed | None = None) -> ASGIApp:
    """The REST API and the dashboard of one broker.

    Args:
        broker: should have little patience: a request waits for Redis as long.
        settings: None: from the environment.
        feed: what open dashboards are told; given by a server that has to end it before it can shut down.
    """
    settings = settings if settings is not None else WebSettings()
    backroom = Backroom(settings.web_threads)
    desk = Desk(broker, backroom)
    feed = feed if feed is not None else Feed()
    feed.serve(desk)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await feed.close()
        backroom.close()

    app = _api(lifespan)
    app.state.desk = desk
    app.state.feed = feed
    return Guard(Bodies(app), settings)


def document() -> dict[str, Any]:
    """The API's OpenAPI 3.1 document."""
    return _api(None).openapi()


def _api(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None) -> FastAPI:
    app = FastAPI(
        routes=[*(route for one in _ROUTERS for route in one.routes), *pages.routes],
        openapi_url="/api/openapi.json",
        # FastAPI's own come from other servers, which our policy forbids, and which many clusters can't reach.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # A slash too many is a wrong address, not a hint.
        redirect_slashes=False,
        exception_handlers={
            Problem: _problem,
            HTTPException: _http_problem,
            RequestValidationError: _validation_problem,
            Exception: _internal_problem,
        },
        # What jobs carry is nobody else's business.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    describe(app)
    return app


async def _problem(_: Request, problem: Any) -> Response:
    answer: Response = problem.response()
    return answer


async def _validation_problem(request: Request, error: Any) -> Response:
    """What pydantic says; or that the body is no JSON."""
    if any(one["type"] == "json_invalid" for one in error.errors()):
        return (await not_json(request)).response()
    return wrong_fields(error.errors()).response()


async def _http_problem(request: Request, error: Any) -> Response:
    """Starlette's and FastAPI's own answers."""
    if error.status_code == 400:
        return (await not_json(request)).response()
    if error.status_code == 405:
        allowed = ", ".join(_methods_at(request))
        return Problem(
            Kind.METHOD_NOT_ALLOWED, f"{request.method} does not work here; {allowed} does.", headers={"Allow": allowed}
        ).response()
    return Problem(Kind.NOT_FOUND, f"There is nothing at {request.url.path[:200]!r}.").response()


def _methods_at(request: Request) -> list[str]:
    """All that work at an address: Starlette names only those of the first route that fits."""
    fitting = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in fitting if route.path == fitting[0].path for method in route.methods or ()})


async def _internal_problem(request: Request, error: Any) -> Response:
    """A bug of ours. The log has the traceback; the client gets none."""
    _logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    # The server drops the connection then: who is not told so would send the next request into it.
    headers = {"Connection": "close"}
    return Problem(Kind.INTERNAL, "This is a fault of the server; its log says more.", headers=headers).response()
