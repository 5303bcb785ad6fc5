"""`/api/workers`: the worker processes that are there, and what they run."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobyard.web import models, present
from jobyard.web.api.answers import answer
from jobyard.web.desk import Desk, desk_of


async def workers(request: Request) -> Response:
    """All of them."""

    def look(desk: Desk) -> models.Workers:
        known, jobs = desk.workers(), desk.fetched()
        return models.Workers(
            **present.worker_counts(known).model_dump(), workers=[present.worker(one, jobs) for one in known]
        )

    return answer(await desk_of(request).ask(look))


routes: Final = [Route("/api/workers", workers)]
