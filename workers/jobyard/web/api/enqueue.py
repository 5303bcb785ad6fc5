"""`POST /api/jobs` and `POST /api/jobs/bulk`: jobs are handed in."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import Body
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from jobyard.broker.broker import Offer
from jobyard.errors import RateLimitExceeded
from jobyard.web import models, present
from jobyard.web.api.describing import TheDesk, needs, new_router
from jobyard.web.desk import Desk
from jobyard.web.orders import NewJob, message_of, said_of
from jobyard.web.problems import Kind, Problem
from jobyard.web.tokens import Scope

router: Final = new_router("jobs")

MOST_AT_ONCE: Final = 1000


class NewJobs(BaseModel):
    """Jobs to be enqueued, in this order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    jobs: Annotated[list[NewJob], Field(min_length=1, max_length=MOST_AT_ONCE)]


_said: Final = needs(Scope.OPERATE, Kind.DUPLICATE, Kind.RATE_LIMITED, Kind.JOB_TOO_LARGE, body=True)
_said["responses"][200] = {"description": "The first job with this idempotency key", "model": models.Job}
_said["responses"][201] = {
    "description": "It is enqueued",
    "headers": {"Location": {"description": "Where the job is.", "schema": {"type": "string"}}},
}
_EXAMPLES: Final[list[Any]] = [{"actor": "send_email", "queue": "emails", "kwargs": {"to": "ada@example.org"}}]


@router.post("/api/jobs", summary="Enqueue a job", status_code=201, response_model=models.Enqueued, **_said)
async def enqueue_job(order: Annotated[NewJob, Body(examples=_EXAMPLES)], desk: TheDesk) -> Response:
    """201 with its id. 200 with the first job, where that has the same idempotency key. 409 where another job has its unique key,
    429 where the queue's rate is used up, 422 where no worker is known that has such an actor."""

    def work(desk: Desk) -> Response:
        while True:
            offer = _offer(desk, order, [] if order.force else desk.workers())
            if offer.other is not None:
                raise Problem(
                    Kind.DUPLICATE,
                    f"Job {offer.other!r} has this unique key; nothing was enqueued.",
                    job_id=offer.other,
                )
            job_id, queue = offer.message.message_id, offer.message.queue_name
            if offer.new:
                created = models.Enqueued(job_id=job_id, queue=queue)
                return _json(created, 201, {"Location": _place(job_id, queue)})
            first = desk.broker.inspector.job(job_id, queue=queue)
            if first is not None:
                return _json(present.job(first), 200, {"Content-Location": _place(job_id, queue)})
            # It was forgotten in between. Then this is the first one.

    return await desk.ask(work)


_said_of_many: Final = needs(Scope.OPERATE, body=True)
_said_of_many["responses"][207] = {"description": "Not all of them are new", "model": models.EnqueuedMany}
_said_of_many["responses"][201] = {"description": "All of them are enqueued"}


@router.post(
    "/api/jobs/bulk", summary="Enqueue many jobs", status_code=201, response_model=models.EnqueuedMany, **_said_of_many
)
async def enqueue_jobs(orders: NewJobs, desk: TheDesk) -> Response:
    """All are checked first: where a field of one is wrong, none is enqueued. Then they are enqueued one after the other, and
    each has its own outcome: 201 where all are new, else 207. Sending all again is safe for those with an idempotency key."""

    def work(desk: Desk) -> Response:
        workers = desk.workers()
        for number, order in enumerate(orders.jobs):
            message_of(order, desk.broker, [] if order.force else workers, f"jobs.{number}.")
        results: list[models.Outcome] = []
        for number, order in enumerate(orders.jobs):
            try:
                results.append(_outcome(_offer(desk, order, workers, f"jobs.{number}.")))
            except Problem as problem:
                results.append(_refusal(problem))
        enqueued = sum(one.outcome == "enqueued" for one in results)
        many = models.EnqueuedMany(enqueued=enqueued, results=results)
        return _json(many, 201 if enqueued == len(results) else 207)

    return await desk.ask(work)


def _offer(desk: Desk, order: NewJob, workers: list[Any], where: str = "") -> Offer:
    message = message_of(order, desk.broker, workers, where)
    delay = order.delay_ms if order.run_at is None else max(0, order.run_at - desk.now())
    try:
        return desk.broker.offer(message, delay=delay)
    except RateLimitExceeded as error:
        seconds = math.ceil(error.retry_after)
        raise Problem(
            Kind.RATE_LIMITED,
            f"The rate of queue {message.queue_name!r} is used up; nothing was enqueued. Come back in {seconds} s.",
            headers={"Retry-After": str(seconds)},
            retry_after=error.retry_after,
        ) from None
    except (ValueError, TypeError) as error:
        raise said_of(error, where) from None


def _outcome(offer: Offer) -> models.Outcome:
    if offer.other is not None:
        return models.Outcome(outcome="duplicate", job_id=offer.other, queue=offer.message.queue_name)
    outcome: Any = "enqueued" if offer.new else "known"
    return models.Outcome(outcome=outcome, job_id=offer.message.message_id, queue=offer.message.queue_name)


def _refusal(problem: Problem) -> models.Outcome:
    """The outcome of one of many. Others before it are enqueued already, so that it can't be the answer to all.

    Raises:
        Problem: of Redis, not of this one.
    """
    if problem.kind is Kind.RATE_LIMITED:
        return models.Outcome(outcome="rate-limited", retry_after=problem.more["retry_after"])
    if problem.kind in (Kind.JOB_TOO_LARGE, Kind.INVALID_REQUEST):
        return models.Outcome(outcome="refused", detail=problem.detail)
    raise problem


def _place(job_id: str, queue: str) -> str:
    return f"/api/jobs/{quote(job_id, safe='')}?{urlencode({'queue': queue})}"


def _json(model: BaseModel, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(model.model_dump_json(), status, headers, "application/json")
