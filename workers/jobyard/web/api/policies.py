"""`/api/queues/{name}/policy` and `…/breakers`: what holds for a queue, and what holds its jobs back."""

from __future__ import annotations

from typing import Final

from pydantic import ConfigDict

from jobyard.broker.policy import QueuePolicy
from jobyard.web import models, present
from jobyard.web.api.describing import QueueName, TheDesk, needs, new_router
from jobyard.web.desk import Desk
from jobyard.web.problems import Kind
from jobyard.web.requests import wrong_field
from jobyard.web.tokens import Scope

router: Final = new_router("queues")


class PolicyChange(QueuePolicy):
    """Those parts of a policy that shall change; null: the default shall hold again."""

    model_config = ConfigDict(strict=True)


@router.get("/api/queues/{queue:path}/policy", summary="A queue's policy", **needs(Scope.READ, Kind.UNKNOWN_QUEUE))
async def get_policy(queue: QueueName, desk: TheDesk) -> models.Policy:
    """Limits, fairness, retention, pause. null: the default holds."""
    return models.Policy(queue=queue, policy=(await desk.ask(lambda desk: desk.stats(queue))).policy)


@router.patch(
    "/api/queues/{queue:path}/policy",
    summary="Change a queue's policy",
    **needs(Scope.ADMIN, Kind.UNKNOWN_QUEUE, body=True),
)
async def change_policy(queue: QueueName, change: PolicyChange, desk: TheDesk) -> models.Policy:
    """What is not named stays; null makes the default hold again. It acts with the next job. Answers with the whole policy."""

    def work(desk: Desk) -> QueuePolicy:
        (name,) = desk.queue_names(queue)
        try:
            return desk.broker.configure(name, change)
        except ValueError as error:
            raise wrong_field(("", f"it doesn't fit to what holds already: {error}")) from None

    return models.Policy(queue=queue, policy=await desk.ask(work))


@router.get(
    "/api/queues/{queue:path}/breakers", summary="A queue's circuit breakers", **needs(Scope.READ, Kind.UNKNOWN_QUEUE)
)
async def list_breakers(queue: QueueName, desk: TheDesk) -> models.Breakers:
    """What its jobs depend on and has failed of late. What works is not listed."""

    def work(desk: Desk) -> models.Breakers:
        (name,) = desk.queue_names(queue)
        return models.Breakers(queue=name, breakers=[present.breaker(one) for one in desk.broker.breakers.list(name)])

    return await desk.ask(work)
