"""`/api/jobs/…`: numbers, one job, and what can be done with it."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from jobyard.web import models, present
from jobyard.web.api.describing import JobId, OfQueue, TheDesk, needs, new_router
from jobyard.web.desk import Desk
from jobyard.web.problems import Kind, Problem
from jobyard.web.tokens import Scope

router: Final = new_router("jobs")

_UNKNOWN: Final = (Kind.UNKNOWN_JOB, Kind.UNKNOWN_QUEUE)


@router.get("/api/jobs/stats", summary="Numbers over all queues", **needs(Scope.READ))
async def job_stats(desk: TheDesk) -> models.Stats:
    """How many jobs wait, run, have completed, have failed, are delayed."""
    ledgers = await desk.ask(lambda desk: desk.all_stats())
    return present.totals([present.queue(ledger) for ledger in ledgers])


# Ids are chosen by clients and may contain slashes, so what is longer comes first.


@router.post(
    "/api/jobs/{job_id:path}/retry",
    summary="Try a dead letter again",
    **needs(Scope.OPERATE, *_UNKNOWN, Kind.WRONG_STATE, changes=True),
)
async def retry_job(job_id: JobId, desk: TheDesk, queue: OfQueue = None) -> models.Job:
    """It waits again, with all its attempts before it."""
    return present.job(await desk.ask(lambda desk: desk.retry(job_id, queue)))


@router.get("/api/jobs/{job_id:path}/explain", summary="Why a job is where it is", **needs(Scope.READ, *_UNKNOWN))
async def explain_job(job_id: JobId, desk: TheDesk, queue: OfQueue = None) -> models.Explanation:
    """What holds it and until when, behind how many it is, whether a worker has its actor; and what can be done."""

    def work(desk: Desk) -> models.Explanation:
        desk.queue_names(queue)
        found = desk.broker.inspector.explain(job_id, queue)
        if found.state is None:
            raise Problem(Kind.UNKNOWN_JOB, f"{found.sentence} {found.advice}".strip())
        return present.explanation(found)

    return await desk.ask(work)


@router.get("/api/jobs/{job_id:path}/logs", summary="What a job has logged", **needs(Scope.READ, *_UNKNOWN))
async def job_logs(job_id: JobId, desk: TheDesk, queue: OfQueue = None) -> models.Logs:
    """The newest lines of all its attempts, the oldest first. What a running job logs is here about half a second later."""

    def work(desk: Desk) -> models.Logs:
        job = desk.job(job_id, queue)
        return present.logs(desk.broker.inspector.logs(job_id, job.queue))

    return await desk.ask(work)


@router.get("/api/jobs/{job_id:path}", summary="One job", **needs(Scope.READ, *_UNKNOWN))
async def get_job(job_id: JobId, desk: TheDesk, queue: OfQueue = None) -> models.Job:
    """Everything about a job: where it is, arguments, attempts with their errors, progress, result."""
    return present.job(await desk.ask(lambda desk: desk.job(job_id, queue)))


_cancel: Final = needs(Scope.OPERATE, *_UNKNOWN, Kind.WRONG_STATE, changes=True)
_cancel["responses"][202] = {"description": "It runs, and its worker is asked to stop it", "model": models.Job}


@router.delete("/api/jobs/{job_id:path}", summary="Cancel a job", **_cancel)
async def cancel_job(job_id: JobId, desk: TheDesk, response: Response, queue: OfQueue = None) -> models.Job:
    """200: it waited and is cancelled. 202: it runs, and its worker is asked to interrupt it."""
    cancelled = await desk.ask(lambda desk: desk.cancel(job_id, queue))
    if cancelled.state == "active":
        response.status_code = 202
    return present.job(cancelled)
