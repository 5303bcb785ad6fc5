"""`/healthz`: whether this process can reach Redis. `/api/access`: what the caller's token is good for."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from jobyard.web import models
from jobyard.web.api.describing import TheDesk, needs, new_router
from jobyard.web.guard import ACCESS
from jobyard.web.tokens import Scope

router: Final = new_router("server")


@router.get("/healthz", summary="Whether Redis answers", **needs(None))
async def healthz(desk: TheDesk) -> models.Health:
    """200 where Redis answers, else the problem. Needs no token."""
    await desk.ask(lambda desk: desk.broker.link.command(b"PING"))
    return models.Health(status="ok")


@router.get("/api/access", summary="What the token is good for", **needs(Scope.READ))
async def access(request: Request) -> models.Access:
    """The scope of the token that the request came with; `admin` where the server wants none."""
    return models.Access(scope=request.scope[ACCESS])
