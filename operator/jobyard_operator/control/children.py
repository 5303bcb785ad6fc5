"""The Deployment and the PodDisruptionBudget of a JobQueue: applied when something about them may have changed."""

from __future__ import annotations

import time
from typing import Any, Final

from jobyard_operator.control.connections import NeedsChange
from jobyard_operator.control.context import Context
from jobyard_operator.core import ownership, rendering
from jobyard_operator.core.merge import MergeError
from jobyard_operator.kubernetes.api import ApiError, Conflict, Object
from jobyard_operator.kubernetes.cache import SCALER_OWNS, Key
from jobyard_operator.kubernetes.kinds import BUDGETS, DEPLOYMENTS, Kind
from jobyard_operator.resources.jobqueue import JobQueue

#: Seconds after which everything is applied again, whatever happened.
RESYNC: Final = 300.0


class Children:
    """Those of one JobQueue."""

    def __init__(self, context: Context, key: Key) -> None:
        self._context, self._key = context, key
        self._applied: tuple[Any, ...] = ()
        self._applied_at = 0.0
        self.foreign: list[str] = []  # fields that somebody else owns

    def touched(self) -> None:
        """Somebody changed or removed one: look after it with the next step."""
        self._applied = ()

    async def apply(self, queue: JobQueue, secret_version: str | None) -> None:
        """Bring them up to date.

        Raises:
            NeedsChange: the JobQueue can't be rendered, or the API server doesn't take what comes of it.
            ApiError: not now.
        """
        wanted = (queue.metadata.uid, queue.metadata.generation, secret_version)
        deployed = self._context.cache.get(DEPLOYMENTS, Key(self._key.namespace, rendering.child_name(queue)))
        fresh = self._applied == wanted and time.monotonic() - self._applied_at < RESYNC
        if fresh and deployed is not None:
            return
        try:
            deployment = rendering.deployment(queue, secret_version=secret_version)
        except MergeError as error:
            raise NeedsChange(f"worker.podTemplate can't be used: {error}") from None
        self.foreign = []
        try:
            if deployed is None:
                # Without a number Kubernetes would start one pod; and a number that nobody owns any more falls back to one. So
                # the first apply brings it, and the autoscaler owns it before the next one leaves it away.
                start = queue.spec.replicas if queue.spec.replicas is not None else queue.spec.scaling.min
                born = {**deployment, "spec": {**deployment["spec"], "replicas": start}}
                made = await self._apply(DEPLOYMENTS, born)
                await self._own_replicas(made)
            elif not deployed["metadata"].get(SCALER_OWNS):
                await self._own_replicas(deployed)
            await self._apply(DEPLOYMENTS, deployment)
            await self._apply(BUDGETS, rendering.disruption_budget(queue))
        except ApiError as error:
            if error.status in (400, 403, 413, 422):
                raise NeedsChange(f"the API server refuses what follows from this JobQueue: {error}") from None
            raise
        self._applied, self._applied_at = wanted, time.monotonic()

    async def _own_replicas(self, deployed: Object) -> None:
        self._context.must_lead()
        replicas = deployed["spec"].get("replicas", 0)
        await self._context.api.scale(DEPLOYMENTS, self._key.namespace, deployed["metadata"]["name"], replicas)

    async def _apply(self, kind: Kind, whole: Object) -> Object:
        self._context.must_lead()
        try:
            return await self._context.api.apply(kind, whole)
        except Conflict as conflict:
            fields = ownership.conflicting(conflict.details)
            if not fields:
                raise
            self.foreign += fields
            return await self._context.api.apply(kind, ownership.without(whole, fields))
