"""`POST /api/jobs/actions`: the same done to all jobs that fit a filter, or only counted."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobyard.broker.bulk import Outcome
from jobyard.broker.filters import JobFilter
from jobyard.presentation import STATES, Status
from jobyard.web import models, present
from jobyard.web.api.describing import QUEUE_SCHEMA, TheDesk, needs, new_router
from jobyard.web.api.times import Moment
from jobyard.web.desk import Desk
from jobyard.web.problems import Kind
from jobyard.web.requests import wrong_field
from jobyard.web.tokens import Scope

router: Final = new_router("jobs")

Text = Annotated[str, Field(min_length=1, max_length=300)]


class Filter(BaseModel):
    """Which jobs; all that is given must fit. The same words as in `GET /api/jobs`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    queue: Annotated[str, Field(json_schema_extra=QUEUE_SCHEMA)] | None = None
    states: Annotated[list[Status], Field(max_length=len(STATES))] = []
    actor: Text | None = None
    tag: Text | None = None
    error: Text | None = None
    group: Text | None = None
    text: Text | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    ended_after: Moment | None = None
    ended_before: Moment | None = None
    argument: Annotated[dict[Text, Any], Field(max_length=20, description="By name, position or path, the value.")] = {}

    def known(self) -> JobFilter:
        """As the broker knows it."""
        fields = self.model_dump(exclude={"states"})
        return JobFilter(**fields, states=tuple(STATES[one] for one in self.states))


class Action(BaseModel):
    """What to do with which jobs.

    So that a filter that was forgotten doesn't hit everything, `all` must be true where none is given.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    action: Literal["cancel", "retry", "discard"]
    filter: Filter = Filter()
    all: bool = False
    dry_run: Annotated[bool, Field(description="Only count, and change nothing.")] = False
    limit: Annotated[int, Field(ge=1, le=100_000, description="So many at most, the oldest first.")] = 10_000
    rate: Annotated[float, Field(gt=0, le=1e6, description="With `retry`: so many a second at most.")] | None = None

    @model_validator(mode="after")
    def _says_which(self) -> Action:
        if not self.filter.model_dump(exclude_defaults=True) and not self.all:
            raise ValueError('say which: a filter, or "all": true')
        if self.rate is not None and self.action != "retry":
            raise ValueError("rate is for retry only")
        return self


@router.post(
    "/api/jobs/actions",
    summary="Cancel, retry or discard all jobs that fit",
    **needs(Scope.ADMIN, Kind.UNKNOWN_QUEUE, body=True),
)
async def act_on_jobs(wanted: Action, desk: TheDesk) -> models.BulkOutcome:
    """`cancel` is for jobs that have not ended, `retry` for dead letters, `discard` for dead letters, and for waiting, parked and
    delayed ones where the filter names these states. With `dry_run` it says what it would do."""

    def work(desk: Desk) -> Outcome:
        desk.queue_names(wanted.filter.queue)
        which, bulk = wanted.filter.known(), desk.broker.bulk
        try:
            if wanted.action == "retry":
                return bulk.retry(which, rate=wanted.rate, dry_run=wanted.dry_run, limit=wanted.limit)
            act = bulk.cancel if wanted.action == "cancel" else bulk.discard
            return act(which, dry_run=wanted.dry_run, limit=wanted.limit)
        except ValueError as error:  # States that can't be meant.
            raise wrong_field(("filter.states", str(error))) from None

    return present.bulk_outcome(await desk.ask(work), wanted.dry_run, wanted.limit)
