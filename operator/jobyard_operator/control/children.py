"""The Deployment and the PodDisruptionBudget of a JobQueue: applied when something about them may have changed."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from jobyard_operator.control.connections import NeedsChange
from jobyard_operator.control.context import Context
from jobyard_operator.core import ownership, rendering
from jobyard_operator.core.merge import MergeError
from jobyard_operator.kubernetes.api import ApiError, Conflict, Object
from jobyard_operator.kubernetes.cache import REPLICAS_OWNED, Key
from jobyard_operator.kubernetes.kinds import BUDGETS, DEPLOYMENTS, JOB_QUEUES, Kind
from jobyard_operator.resources.jobqueue import JobQueue

#: Seconds after which everything is applied again, whatever happened.
RESYNC: Final = 300.0
#: Somebody may take more fields while we leave them some.
CONFLICTS: Final = 3

_logger: Final = logging.getLogger(__name__)


class Children:
    """Those of one JobQueue."""

    def __init__(self, context: Context, key: Key) -> None:
        self._context, self._key = context, key
        self._applied: tuple[Any, ...] = ()
        self._applied_at = 0.0
        self._told: tuple[str, ...] = ()
        self.foreign: tuple[str, ...] = ()  # fields that somebody else owns

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
        left: list[str] = []
        try:
            if deployed is None:
                # Without a number Kubernetes would start one pod; and a number that nobody owns any more falls back to one. So
                # the first apply brings it, and the autoscaler owns it before the next one leaves it away.
                start = queue.spec.replicas if queue.spec.replicas is not None else queue.spec.scaling.min
                born = {**deployment, "spec": {**deployment["spec"], "replicas": start}}
                made = await self._apply(DEPLOYMENTS, born, left)
                await self._own_replicas(made)
            elif not deployed["metadata"].get(REPLICAS_OWNED):
                # As it is now: the watch may be behind what was scaled since.
                name = deployed["metadata"]["name"]
                await self._own_replicas(await self._context.api.get(DEPLOYMENTS, self._key.namespace, name))
            await self._apply(DEPLOYMENTS, deployment, left)
            await self._apply(BUDGETS, rendering.disruption_budget(queue), left)
        except ApiError as error:
            if error.status in (400, 403, 413, 422):
                raise NeedsChange(f"the API server refuses what follows from this JobQueue: {error}") from None
            raise
        self._applied, self._applied_at = wanted, time.monotonic()
        self.foreign = tuple(dict.fromkeys(left))
        self._say_foreign()

    def _say_foreign(self) -> None:
        if self.foreign == self._told:
            return
        self._told = self.foreign
        told = self._context.cache.get(JOB_QUEUES, self._key)
        if told is not None and self.foreign:
            note = f"Others have taken over these fields, which are left to them: {', '.join(self.foreign)}"
            self._context.events.say(told, "FieldsOwnedByOthers", note, kind="Warning")

    async def _own_replicas(self, deployed: Object) -> None:
        self._context.must_lead()
        replicas = deployed["spec"].get("replicas", 0)
        await self._context.api.scale(DEPLOYMENTS, self._key.namespace, deployed["metadata"]["name"], replicas)

    async def _apply(self, kind: Kind, whole: Object, left: list[str]) -> Object:
        """Apply all fields but those that others own; the paths of these go into `left`."""
        for _ in range(CONFLICTS):
            self._context.must_lead()
            try:
                return self._seen(kind, await self._context.api.apply(kind, whole))
            except Conflict as conflict:
                fields = ownership.conflicting(conflict.details)
                if not fields:
                    raise
                _logger.info("%s %s: left to others: %s", kind.name, whole["metadata"]["name"], ", ".join(fields))
                left += [f"{kind.name} {field}" for field in fields if field != ".spec.replicas"]
                whole = ownership.without(whole, fields)
        return self._seen(kind, await self._context.api.apply(kind, whole))

    def _seen(self, kind: Kind, applied: Object) -> Object:
        """The watch will tell it, too, but later: the next step must not take it for missing."""
        self._context.cache.put(kind, applied)
        return applied
