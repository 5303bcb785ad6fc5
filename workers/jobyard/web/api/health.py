"""`/healthz`: whether this process can reach Redis."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobyard.web import models
from jobyard.web.api.answers import answer
from jobyard.web.desk import desk_of


async def healthz(request: Request) -> Response:
    """200 where Redis answers, else the problem."""
    await desk_of(request).ask(lambda desk: desk.broker.link.command(b"PING"))
    return answer(models.Health(status="ok"))


routes: Final = [Route("/healthz", healthz)]
