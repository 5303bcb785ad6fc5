"""`/api/workers`: the worker processes that are there, and what they run."""

from __future__ import annotations

from typing import Final

from jobyard.web import models, present
from jobyard.web.api.describing import TheDesk, needs, new_router
from jobyard.web.tokens import Scope

router: Final = new_router("workers")


@router.get("/api/workers", summary="The worker processes that are there", **needs(Scope.READ))
async def list_workers(desk: TheDesk) -> models.Workers:
    """All of them, with what they serve and how busy they are."""
    known = await desk.ask(lambda desk: desk.workers())
    counts = present.worker_counts(known).model_dump()
    return models.Workers(**counts, workers=[present.worker(one) for one in known])
