"""`/api/schedules`: the schedules that put jobs into queues, as far as Redis knows them."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query

from jobyard.presentation import schedule_values
from jobyard.web import models
from jobyard.web.api.describing import QUEUE_SCHEMA, TheDesk, needs, new_router
from jobyard.web.desk import Desk
from jobyard.web.problems import Kind
from jobyard.web.tokens import Scope

router: Final = new_router("schedules")


@router.get("/api/schedules", summary="Schedules", **needs(Scope.READ, Kind.UNKNOWN_QUEUE))
async def list_schedules(
    desk: TheDesk,
    queue: Annotated[str | None, Query(description="Of this queue only.", json_schema_extra=QUEUE_SCHEMA)] = None,
) -> models.Schedules:
    """Their planned ticks, and what became of the last ones. Only Kubernetes knows those that have not fired yet."""

    def work(desk: Desk) -> models.Schedules:
        found = [one for name in desk.queue_names(queue) for one in desk.broker.schedules.list(name)]
        found.sort(key=lambda one: (one.name, one.queue))
        return models.Schedules(schedules=[models.Schedule.model_validate(schedule_values(one)) for one in found])

    return await desk.ask(work)
