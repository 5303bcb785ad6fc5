"""`/api/queues`: the ledgers of all queues, and pausing them."""

from __future__ import annotations

from typing import Final

from jobyard.broker.inspector import QueueStats
from jobyard.web import models, present
from jobyard.web.api.describing import QueueName, TheDesk, needs, new_router
from jobyard.web.desk import Desk
from jobyard.web.problems import Kind
from jobyard.web.tokens import Scope

router: Final = new_router("queues")


@router.get("/api/queues", summary="All queues", **needs(Scope.READ))
async def list_queues(desk: TheDesk) -> models.Queues:
    """The ledger of each queue."""
    ledgers = await desk.ask(lambda desk: desk.all_stats())
    return models.Queues(queues=[present.queue(ledger) for ledger in ledgers])


# Names of queues may contain slashes: `emails/0` is a partition.


@router.post(
    "/api/queues/{queue:path}/pause",
    summary="Start no more jobs of a queue",
    **needs(Scope.OPERATE, Kind.UNKNOWN_QUEUE, changes=True),
)
async def pause_queue(queue: QueueName, desk: TheDesk) -> models.Queue:
    """It still accepts jobs, and running ones finish. Answers with the queue as it is then."""
    return await _set_paused(desk, queue, True)


@router.post(
    "/api/queues/{queue:path}/resume",
    summary="Start jobs of a queue again",
    **needs(Scope.OPERATE, Kind.UNKNOWN_QUEUE, changes=True),
)
async def resume_queue(queue: QueueName, desk: TheDesk) -> models.Queue:
    """Undoes `pause`. Answers with the queue as it is then."""
    return await _set_paused(desk, queue, False)


@router.get("/api/queues/{queue:path}", summary="One queue", **needs(Scope.READ, Kind.UNKNOWN_QUEUE))
async def get_queue(queue: QueueName, desk: TheDesk) -> models.Queue:
    """Its ledger."""
    return present.queue(await desk.ask(lambda desk: desk.stats(queue)))


async def _set_paused(desk: Desk, queue: str, paused: bool) -> models.Queue:
    def change(desk: Desk) -> QueueStats:
        for known in desk.queue_names(queue):
            (desk.broker.pause if paused else desk.broker.resume)(known)
        return desk.stats(queue)

    return present.queue(await desk.ask(change))
