"""A JobQueue is deleted. Its pods go by garbage collection; its jobs stay, unless the JobQueue says that they shall be discarded.

Only then it has a finalizer of ours: the jobs can go when no pod works on them any more.
"""

from __future__ import annotations

from typing import Final

from jobyard.broker import JobyardBroker
from jobyard_operator.control.connections import NeedsChange
from jobyard_operator.control.context import Context
from jobyard_operator.core import rendering
from jobyard_operator.kubernetes.api import Conflict, NotFound, Object
from jobyard_operator.kubernetes.cache import Key
from jobyard_operator.kubernetes.kinds import DEPLOYMENTS, JOB_QUEUES, PODS
from jobyard_operator.resources.jobqueue import JobQueue
from jobyard_operator.resources.meta import GROUP

FINALIZER: Final = f"{GROUP}/discard-jobs"


class Deletion:
    """Of one JobQueue."""

    def __init__(self, context: Context, key: Key) -> None:
        self._context, self._key = context, key

    async def step(self, queue: JobQueue) -> bool:
        """Returns whether it is being deleted, so that nothing else is to be done.

        Raises:
            ApiError, BrokerError: the next step goes on.
        """
        told = self._context.cache.get(JOB_QUEUES, self._key)
        if told is None:
            return True
        finalizers = list(told["metadata"].get("finalizers") or ())
        if queue.metadata.deletion_timestamp is None:
            wanted = queue.spec.deletion_policy == "DiscardJobs"
            if wanted and FINALIZER not in finalizers:
                await self._set(told, [*finalizers, FINALIZER])
            elif not wanted and FINALIZER in finalizers:
                await self._set(told, [one for one in finalizers if one != FINALIZER])
            return False
        if FINALIZER in finalizers:
            await self._discard(queue, told, finalizers)
        return True

    async def _discard(self, queue: JobQueue, told: Object, finalizers: list[str]) -> None:
        name = rendering.child_name(queue)
        self._context.must_lead()
        if self._context.cache.get(DEPLOYMENTS, Key(self._key.namespace, name)) is not None:
            await self._context.api.delete(DEPLOYMENTS, self._key.namespace, name)
            return
        if self._context.cache.of(PODS, self._key):
            return  # They finish what they run.
        try:
            connection, _ = await self._context.connections.of(queue)
            await connection.call(_flush, queue.spec.queue)
        except NeedsChange as problem:
            # Its Secret went before it: nobody knows where the jobs are. And nobody shall have to remove a finalizer by hand.
            self._context.events.say(told, "JobsKept", f"The jobs could not be discarded: {problem}", kind="Warning")
        await self._set(told, [one for one in finalizers if one != FINALIZER])

    async def _set(self, told: Object, finalizers: list[str]) -> None:
        self._context.must_lead()
        meta = {"finalizers": finalizers, "resourceVersion": told["metadata"]["resourceVersion"]}
        try:
            changed = await self._context.api.patch(JOB_QUEUES, self._key.namespace, self._key.name, {"metadata": meta})
        except (Conflict, NotFound):
            return  # The watch is behind; the next step sees.
        if changed.get("metadata", {}).get("name"):
            self._context.cache.put(JOB_QUEUES, changed)


def _flush(broker: JobyardBroker, queue: str) -> None:
    broker.flush(queue)
