"""`/api/dead-letters`: search them, try some or all again, discard some or all."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from jobyard.broker.broker import LONGEST_ID
from jobyard.broker.dead_letters import DeadFilter
from jobyard.broker.inspector import Job as KnownJob
from jobyard.web import models, present
from jobyard.web.api.describing import MOST_JOBS, QUEUE_SCHEMA, JobId, OfQueue, TheDesk, needs, new_router
from jobyard.web.desk import Desk, wrong_state
from jobyard.web.orders import is_json, said_of
from jobyard.web.problems import Kind
from jobyard.web.tokens import Scope

router: Final = new_router("dead letters")


class DeadLetterSearch(BaseModel):
    """Which dead letters are meant; all that is given must fit.

    Attributes:
        queue: None: of all queues.
        actor: the actor's name.
        error: the name of the last error's type, or a part of its message.
        older_than: died at least so many seconds ago.
    """

    model_config = ConfigDict(extra="forbid")

    queue: Annotated[str, Field(json_schema_extra=QUEUE_SCHEMA)] | None = None
    actor: Annotated[str, Field(max_length=300)] | None = None
    error: Annotated[str, Field(max_length=300)] | None = None
    older_than: Annotated[float, Field(ge=0, le=1e10)] | None = None

    def filter(self) -> DeadFilter:
        """As the broker knows it."""
        older = None if self.older_than is None else int(self.older_than * 1000)
        return DeadFilter(actor=self.actor or None, error=self.error or None, older_than=older)


class DeadLetterList(DeadLetterSearch):
    """Which to list."""

    cursor: Annotated[str, Field(max_length=4000)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_JOBS)] = 50


class Selection(DeadLetterSearch):
    """Which to change: those named by `ids` (then a queue must be named), or all that fit.

    So that a body that was forgotten doesn't hit everything, `all` must be true where nothing else is given.
    """

    ids: Annotated[list[Annotated[str, Field(max_length=LONGEST_ID)]], Field(max_length=1000)] | None = None
    all: bool = False

    @model_validator(mode="after")
    def _says_which(self) -> Selection:
        searched = any(value is not None for value in (self.queue, self.actor, self.error, self.older_than))
        if self.ids is not None and (self.queue is None or self.all or self.actor or self.error or self.older_than):
            raise ValueError("with ids, give their queue and nothing else")
        if self.ids is None and not searched and not self.all:
            raise ValueError('say which: ids and queue; queue, actor, error or older_than; or "all": true')
        return self


class RetrySelection(Selection):
    """Which to try again, and how fast: so many a second at most; None: all at once."""

    rate: Annotated[float, Field(gt=0, le=1e6)] | None = None


@router.get(
    "/api/dead-letters", summary="Dead letters in pages", **needs(Scope.READ, Kind.UNKNOWN_QUEUE, Kind.INVALID_REQUEST)
)
async def list_dead_letters(wanted: Annotated[DeadLetterList, Query()], desk: TheDesk) -> models.JobPage:
    """Those that fit, the newest first. A page may have fewer than wanted, and still a next one."""
    page = await desk.ask(lambda desk: desk.search_dead(wanted.queue, wanted.filter(), wanted.cursor, wanted.limit))
    return models.JobPage(jobs=[present.summary(job) for job in page.jobs], next_cursor=page.next_cursor)


@router.post(
    "/api/dead-letters/retry",
    summary="Try dead letters again",
    **needs(Scope.OPERATE, Kind.UNKNOWN_QUEUE, body=True),
)
async def retry_dead_letters(wanted: RetrySelection, desk: TheDesk) -> models.Changed:
    """They wait again, with all their attempts before them: those with these ids, or all that fit."""

    def work(desk: Desk) -> int:
        letters = desk.broker.dead_letters
        return sum(
            letters.retry_all(queue, wanted.filter(), rate=wanted.rate)
            if wanted.ids is None
            else letters.retry(queue, wanted.ids, rate=wanted.rate)
            for queue in desk.queue_names(wanted.queue)
        )

    return models.Changed(changed=await desk.ask(work))


@router.post(
    "/api/dead-letters/discard",
    summary="Forget dead letters for good",
    **needs(Scope.ADMIN, Kind.UNKNOWN_QUEUE, body=True),
)
async def discard_dead_letters(wanted: Selection, desk: TheDesk) -> models.Changed:
    """Job, arguments and errors are gone: those with these ids, or all that fit."""

    def work(desk: Desk) -> int:
        letters = desk.broker.dead_letters
        return sum(
            letters.discard_all(queue, wanted.filter()) if wanted.ids is None else letters.discard(queue, wanted.ids)
            for queue in desk.queue_names(wanted.queue)
        )

    return models.Changed(changed=await desk.ask(work))


class Edited(BaseModel):
    """New arguments; what is not given stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    args: Annotated[list[Any], AfterValidator(is_json)] | None = None
    kwargs: Annotated[dict[str, Any], AfterValidator(is_json)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Edited:
        if self.args is None and self.kwargs is None:
            raise ValueError("give args, kwargs or both; to try it again as it is, POST /api/jobs/{id}/retry")
        return self


# Ids may contain slashes.
@router.put(
    "/api/dead-letters/{job_id:path}",
    summary="Correct a dead letter and try it again",
    **needs(Scope.OPERATE, Kind.UNKNOWN_JOB, Kind.UNKNOWN_QUEUE, Kind.WRONG_STATE, Kind.JOB_TOO_LARGE, body=True),
)
async def edit_dead_letter(job_id: JobId, edited: Edited, desk: TheDesk, queue: OfQueue = None) -> models.Job:
    """It waits again with these arguments, with all its attempts before it."""

    def work(desk: Desk) -> KnownJob:
        job = desk.job(job_id, queue)
        args, kwargs = edited.args, edited.kwargs
        try:
            done = desk.broker.dead_letters.edit_and_retry(
                job.queue, job_id, lambda a, k: (a if args is None else args, k if kwargs is None else kwargs)
            )
        except ValueError as error:
            raise said_of(error) from None
        after = desk.job(job_id, job.queue)
        if not done:
            raise wrong_state(after.state, "edited", "Only dead letters are.")
        return after

    return present.job(await desk.ask(work))
