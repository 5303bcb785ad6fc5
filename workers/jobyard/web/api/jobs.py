"""`/api/jobs`: numbers, lists, one job, and what can be done with it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jobyard.presentation import STATES
from jobyard.web import models, present, requests
from jobyard.web.api.answers import answer
from jobyard.web.desk import desk_of

MOST_JOBS: Final = 200


def _known_status(text: str) -> str:
    if text not in STATES:
        raise ValueError(f"is one of {', '.join(STATES)}")
    return text


class Which(BaseModel):
    """Which of several queues is meant."""

    model_config = ConfigDict(extra="forbid")

    queue: str | None = None


class List(Which):
    """Which jobs to list."""

    state: Annotated[str, AfterValidator(_known_status)] | None = None
    cursor: Annotated[str, Field(max_length=1000)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_JOBS)] = 50


async def stats(request: Request) -> Response:
    """Numbers over all queues."""
    ledgers = await desk_of(request).ask(lambda desk: desk.all_stats())
    return answer(present.totals([present.queue(ledger) for ledger in ledgers]))


async def jobs(request: Request) -> Response:
    """A page of jobs."""
    wanted = requests.parameters(request, List)
    state = None if wanted.state is None else STATES[wanted.state]
    page = await desk_of(request).ask(lambda desk: desk.page(wanted.queue, state, wanted.cursor, wanted.limit))
    return answer(models.JobPage(jobs=[present.summary(job) for job in page.jobs], next_cursor=page.next_cursor))


async def job(request: Request) -> Response:
    """One job."""
    job_id, queue = request.path_params["job_id"], requests.parameters(request, Which).queue
    return answer(present.job(await desk_of(request).ask(lambda desk: desk.job(job_id, queue))))


async def retry(request: Request) -> Response:
    """A dead letter waits again."""
    job_id, queue = request.path_params["job_id"], requests.parameters(request, Which).queue
    return answer(present.job(await desk_of(request).ask(lambda desk: desk.retry(job_id, queue))))


async def cancel(request: Request) -> Response:
    """Cancel a job: 200 where it waited, 202 where it runs and its worker is asked to stop it."""
    job_id, queue = request.path_params["job_id"], requests.parameters(request, Which).queue
    cancelled = await desk_of(request).ask(lambda desk: desk.cancel(job_id, queue))
    return answer(present.job(cancelled), 202 if cancelled.state == "active" else 200)


# Ids are chosen by clients and may contain slashes.
routes: Final = [
    Route("/api/jobs/stats", stats),
    Route("/api/jobs", jobs),
    Route("/api/jobs/{job_id:path}/retry", retry, methods=["POST"]),
    Route("/api/jobs/{job_id:path}", job),
    Route("/api/jobs/{job_id:path}", cancel, methods=["DELETE"]),
]
