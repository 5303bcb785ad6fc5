"""`/api/batches/{id}`: how far a batch is."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path

from jobyard.web import models, present
from jobyard.web.api.describing import TheDesk, needs, new_router
from jobyard.web.desk import Desk
from jobyard.web.problems import Kind, Problem
from jobyard.web.tokens import Scope

router: Final = new_router("batches")

BatchId = Annotated[str, Path(description="The batch's id.", json_schema_extra={"minLength": 1, "maxLength": 400})]


@router.get("/api/batches/{batch_id:path}", summary="A batch", **needs(Scope.READ, Kind.UNKNOWN_BATCH))
async def get_batch(batch_id: BatchId, desk: TheDesk) -> models.Batch:
    """How many of its jobs are pending, have completed, failed, were cancelled; which callbacks were called."""

    def work(desk: Desk) -> models.Batch:
        try:
            status = desk.broker.batches.status(batch_id)
        except ValueError:  # It can't be one's id.
            status = None
        if status is None:
            raise Problem(
                Kind.UNKNOWN_BATCH,
                f"No batch has the id {batch_id[:300]!r}, or it ended so long ago that it is not kept.",
            )
        return present.batch(status)

    return await desk.ask(work)
