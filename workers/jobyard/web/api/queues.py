"""`/api/queues`: the ledgers of all queues, and pausing them."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobyard.broker.inspector import QueueStats
from jobyard.web import models, present
from jobyard.web.api.answers import answer
from jobyard.web.desk import Desk, desk_of


async def queues(request: Request) -> Response:
    """All queues."""
    ledgers = await desk_of(request).ask(lambda desk: desk.all_stats())
    return answer(models.Queues(queues=[present.queue(ledger) for ledger in ledgers]))


async def queue(request: Request) -> Response:
    """One queue."""
    name = request.path_params["queue"]
    return answer(present.queue(await desk_of(request).ask(lambda desk: desk.stats(name))))


async def pause(request: Request) -> Response:
    """Start no more jobs of this queue."""
    return await _set_paused(request, True)


async def resume(request: Request) -> Response:
    """Undo it."""
    return await _set_paused(request, False)


async def _set_paused(request: Request, paused: bool) -> Response:
    name = request.path_params["queue"]

    def change(desk: Desk) -> QueueStats:
        for known in desk.queue_names(name):
            (desk.broker.pause if paused else desk.broker.resume)(known)
        return desk.stats(name)

    return answer(present.queue(await desk_of(request).ask(change)))


# Names of queues may contain slashes: `emails/0` is a partition.
routes: Final = [
    Route("/api/queues", queues),
    Route("/api/queues/{queue:path}/pause", pause, methods=["POST"]),
    Route("/api/queues/{queue:path}/resume", resume, methods=["POST"]),
    Route("/api/queues/{queue:path}", queue),
]
