"""`/api/failures`: failures that are the same, counted together; and what to do with the dead letters of one group."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from jobyard.broker.bulk import Outcome
from jobyard.web import models, present
from jobyard.web.api.describing import QUEUE_SCHEMA, QueueName, TheDesk, needs, new_router
from jobyard.web.desk import Desk
from jobyard.web.problems import Kind
from jobyard.web.tokens import Scope

router: Final = new_router("failures")

Group = Annotated[
    str,
    Path(
        description="The group's fingerprint.",
        json_schema_extra={"minLength": 1, "maxLength": 64, "pattern": "^[^/]+$"},
    ),
]


class Discarding(BaseModel):
    """How many, and whether at all."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dry_run: Annotated[bool, Field(description="Only count, and change nothing.")] = False
    limit: Annotated[int, Field(ge=1, le=100_000, description="So many at most, the oldest first.")] = 10_000


class Retrying(Discarding):
    """How many, how fast, and whether at all."""

    rate: Annotated[float, Field(gt=0, le=1e6, description="So many a second at most.")] | None = None


# Without a body.
_RETRYING: Final = Retrying()
_DISCARDING: Final = Discarding()


@router.get("/api/failures", summary="Failure groups", **needs(Scope.READ, Kind.UNKNOWN_QUEUE))
async def list_failures(
    desk: TheDesk,
    queue: Annotated[str | None, Query(description="Of this queue only.", json_schema_extra=QUEUE_SCHEMA)] = None,
) -> models.FailureGroups:
    """Failures with the same exception, place and message (its particulars left away); what was seen last comes first."""

    def work(desk: Desk) -> models.FailureGroups:
        desk.queue_names(queue)
        return models.FailureGroups(groups=[present.failure_group(one) for one in desk.broker.failures.groups(queue)])

    return await desk.ask(work)


@router.post(
    "/api/failures/{queue:path}/{group}/retry",
    summary="Try the dead letters of a group again",
    **needs(Scope.OPERATE, Kind.UNKNOWN_QUEUE, body=True),
)
async def retry_group(queue: QueueName, group: Group, desk: TheDesk, how: Retrying = _RETRYING) -> models.BulkOutcome:
    """Those whose last error is of this group; none, where there is no such group."""

    def work(desk: Desk) -> Outcome:
        (name,) = desk.queue_names(queue)
        return desk.broker.failures.retry(name, group, rate=how.rate, dry_run=how.dry_run, limit=how.limit)

    return present.bulk_outcome(await desk.ask(work), how.dry_run, how.limit)


@router.post(
    "/api/failures/{queue:path}/{group}/discard",
    summary="Forget the dead letters of a group for good",
    **needs(Scope.ADMIN, Kind.UNKNOWN_QUEUE, body=True),
)
async def discard_group(
    queue: QueueName, group: Group, desk: TheDesk, how: Discarding = _DISCARDING
) -> models.BulkOutcome:
    """Those whose last error is of this group; none, where there is no such group."""

    def work(desk: Desk) -> Outcome:
        (name,) = desk.queue_names(queue)
        return desk.broker.failures.discard(name, group, dry_run=how.dry_run, limit=how.limit)

    return present.bulk_outcome(await desk.ask(work), how.dry_run, how.limit)
