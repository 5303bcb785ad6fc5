"""`GET /api/jobs`: jobs in pages, by whatever is known of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from jobyard.broker.filters import JobFilter
from jobyard.broker.search import CursorError
from jobyard.presentation import STATES
from jobyard.web import models, present
from jobyard.web.api.describing import MOST_JOBS, QUEUE_SCHEMA, TheDesk, needs, new_router
from jobyard.web.api.times import Moment
from jobyard.web.desk import Desk
from jobyard.web.problems import Kind
from jobyard.web.requests import wrong_field
from jobyard.web.tokens import Scope

router: Final = new_router("jobs")

_ARGUMENT: Final = "argument."
_STATE: Final = f"({'|'.join(STATES)})"

Text = Annotated[str, Field(min_length=1, max_length=300)]


def _known(text: str) -> str:
    if not set(text.split(",")) <= STATES.keys():
        raise ValueError(f"is one of {', '.join(STATES)}, or several with commas between them")
    return text


class Search(BaseModel):
    """Which jobs to list; all that is given must fit. Besides, `argument.NAME=VALUE` (or `argument.0`, `argument.order.id`): an
    argument has that value."""

    model_config = ConfigDict(extra="allow")

    state: (
        Annotated[
            str,
            AfterValidator(_known),
            Field(
                description="A state, or several with commas between them.",
                json_schema_extra={"pattern": f"^{_STATE}(,{_STATE})*$"},
            ),
        ]
        | None
    ) = None
    queue: Annotated[str, Field(description="The queue's name.", json_schema_extra=QUEUE_SCHEMA)] | None = None
    actor: Annotated[Text, Field(description="The actor's name.")] | None = None
    tag: Annotated[Text, Field(description="One of the job's tags.")] | None = None
    error: Annotated[Text, Field(description="Type of the last error, or a part of its message.")] | None = None
    group: Annotated[Text, Field(description="The failure group of the last error.")] | None = None
    text: Annotated[Text, Field(description="A part of the arguments, as JSON.")] | None = None
    created_after: Annotated[Moment, Field(description="Created then or later, ISO 8601.")] | None = None
    created_before: Annotated[Moment, Field(description="Created before then.")] | None = None
    ended_after: Annotated[Moment, Field(description="Ended then or later.")] | None = None
    ended_before: Annotated[Moment, Field(description="Ended before then.")] | None = None
    cursor: Annotated[str, Field(max_length=4000, description="`next_cursor` of the page before.")] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_JOBS, description="Jobs on the page, at most.")] = 50

    def filter(self) -> JobFilter:
        """As the broker knows it.

        Raises:
            Problem: there is a parameter that is not known.
        """
        more: dict[str, Any] = self.model_extra or {}
        unknown = [name for name in more if not name.startswith(_ARGUMENT) or name == _ARGUMENT]
        if unknown:
            raise wrong_field(*[(name[:100], "there is no such parameter") for name in unknown])
        return JobFilter(
            queue=self.queue,
            states=() if self.state is None else tuple(STATES[one] for one in self.state.split(",")),
            actor=self.actor, tag=self.tag, error=self.error, group=self.group, text=self.text,
            created_after=self.created_after, created_before=self.created_before,
            ended_after=self.ended_after, ended_before=self.ended_before,
            argument={name.removeprefix(_ARGUMENT): value for name, value in more.items()},
        )  # fmt: skip


@router.get("/api/jobs", summary="Jobs in pages", **needs(Scope.READ, Kind.UNKNOWN_QUEUE, Kind.INVALID_REQUEST))
async def list_jobs(wanted: Annotated[Search, Query()], desk: TheDesk) -> models.JobPage:
    """Jobs of all states and queues, or those that fit: running ones first, waiting ones in the order in which they start, ended
    ones newest first. `argument.NAME=VALUE` asks for arguments. A page may have fewer jobs than wanted, and still a next one: a
    request looks at 5000 jobs."""

    def work(desk: Desk) -> models.JobPage:
        desk.queue_names(wanted.queue)
        try:
            page = desk.broker.inspector.search(wanted.filter(), wanted.cursor, wanted.limit)
        except CursorError:
            raise wrong_field(
                ("cursor", "was not given out for this list: take `next_cursor` of the page before")
            ) from None
        return models.JobPage(jobs=[present.summary(job) for job in page.jobs], next_cursor=page.cursor)

    return await desk.ask(work)
