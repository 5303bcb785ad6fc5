"""Puts the ASGI application together. Makes no connection before the first request."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from jobyard.broker import JobyardBroker
from jobyard.web import pages
from jobyard.web.api import dead_letters, events, health, jobs, queues, workers
from jobyard.web.backroom import Backroom
from jobyard.web.desk import Desk
from jobyard.web.feed import Feed
from jobyard.web.guard import Guard
from jobyard.web.problems import Kind, Problem
from jobyard.web.settings import WebSettings

_logger: Final = logging.getLogger("jobyard.web")


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
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await feed.close()
        backroom.close()

    routes: Sequence[BaseRoute] = [
        *health.routes, *queues.routes, *dead_letters.routes, *workers.routes, *events.routes, *jobs.routes, *pages.routes,
    ]  # fmt: skip
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={Problem: _problem, HTTPException: _http_problem, Exception: _internal_problem},
    )
    # A slash too many is a wrong address, not a hint.
    app.router.redirect_slashes = False
    app.state.desk = desk
    app.state.feed = feed
    return Guard(app, settings)


def _problem(_: Request, problem: Any) -> Response:
    answer: Response = problem.response()
    return answer


def _http_problem(request: Request, error: Any) -> Response:
    """Starlette's own answers."""
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return Problem(
            Kind.METHOD_NOT_ALLOWED, f"{request.method} does not work here; {allowed} does.", headers={"Allow": allowed}
        ).response()
    return Problem(Kind.NOT_FOUND, f"There is nothing at {request.url.path[:200]!r}.").response()


def _internal_problem(request: Request, error: Exception) -> Response:
    """A bug of ours. The log has the traceback; the client gets none."""
    _logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return Problem(Kind.INTERNAL, "This is a fault of the server; its log says more.").response()
