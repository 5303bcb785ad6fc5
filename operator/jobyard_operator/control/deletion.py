"""A JobQueue is deleted. Its pods go by garbage collection; its jobs stay, unless the JobQueue says that they shall be discarded.

Only then it has a finalizer of ours: the jobs can go when no pod works on them any more. While Redis is away that waits, but not
for ever, since Redis may be gone for good, and a namespace would stay with it. Whoever doesn't want to wait sets `KeepJobs`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerError
from jobyard_operator.control.connections import NeedsChange
from jobyard_operator.control.context import Context
from jobyard_operator.core import rendering
from jobyard_operator.kubernetes.api import Conflict, NotFound, Object
from jobyard_operator.kubernetes.cache import Key
from jobyard_operator.kubernetes.kinds import DEPLOYMENTS, JOB_QUEUES, PODS
from jobyard_operator.resources.jobqueue import JobQueue
from jobyard_operator.resources.meta import GROUP

FINALIZER: Final = f"{GROUP}/discard-jobs"
#: Seconds after its deletion for which a JobQueue waits for its Redis.
PATIENCE: Final = 300.0


class Deletion:
    """Of one JobQueue."""

    def __init__(self, context: Context, key: Key) -> None:
        self._context, self._key = context, key
        self._said = ("", "")

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
            if queue.spec.deletion_policy == "DiscardJobs" and not await self._discarded(queue, told):
                return True
            await self._set(told, [one for one in finalizers if one != FINALIZER])
        return True

    async def _discarded(self, queue: JobQueue, told: Object) -> bool:
        """Whether nothing is left to be done: the jobs are gone, or can't be reached."""
        name = rendering.child_name(queue)
        self._context.must_lead()
        if self._context.cache.get(DEPLOYMENTS, Key(self._key.namespace, name)) is not None:
            await self._context.api.delete(DEPLOYMENTS, self._key.namespace, name)
            return False
        if self._context.cache.of(PODS, self._key):
            return False  # They finish what they run.
        try:
            connection, _ = await self._context.connections.of(queue)
            await connection.call(_flush, queue.spec.queue)
        except NeedsChange as problem:
            # Its Secret went before it: nobody knows where the jobs are. And nobody shall have to remove a finalizer by hand.
            self._say(told, "JobsKept", f"The jobs could not be discarded: {problem}")
        except BrokerError as problem:
            self._context.connections.doubt(queue)
            if not overdue(queue.metadata.deletion_timestamp or "", datetime.now(UTC)):
                self._say(told, "WaitingForRedis", f"The jobs are discarded when Redis answers: {problem}")
                return False
            self._say(told, "JobsKept", f"The jobs could not be discarded, Redis was away too long: {problem}")
        return True

    def _say(self, told: Object, reason: str, note: str) -> None:
        if (reason, note) != self._said:
            self._said = reason, note
            self._context.events.say(told, reason, note, kind="Warning")

    async def _set(self, told: Object, finalizers: list[str]) -> None:
        self._context.must_lead()
        meta = {"finalizers": finalizers, "resourceVersion": told["metadata"]["resourceVersion"]}
        try:
            changed = await self._context.api.patch(JOB_QUEUES, self._key.namespace, self._key.name, {"metadata": meta})
        except (Conflict, NotFound):
            return  # The watch is behind; the next step sees.
        if changed.get("metadata", {}).get("name"):
            self._context.cache.put(JOB_QUEUES, changed)


def overdue(deleted: str, now: datetime) -> bool:
    """Whether a JobQueue that was deleted then (RFC 3339) has waited long enough for its Redis."""
    return (now - datetime.fromisoformat(deleted)).total_seconds() > PATIENCE


def _flush(broker: JobyardBroker, queue: str) -> None:
    broker.flush(queue)
    broker.dead_letters.discard_all(queue)
