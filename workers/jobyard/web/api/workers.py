"""`/api/workers`: the worker processes that are there, and what they run."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobyard.web import models, present
from jobyard.web.api.answers import answer
from jobyard.web.desk import desk_of


async def workers(request: Request) -> Response:
    """All of them."""

    known = await desk_of(request).ask(lambda desk: desk.workers())
    counts = present.worker_counts(known).model_dump()
    return answer(models.Workers(**counts, workers=[present.worker(one) for one in known]))


routes: Final = [Route("/api/workers", workers)]
