"""Dead letters as DeadJob objects: kept like the newest in Redis; what people do to them is done to the jobs."""

from __future__ import annotations

import logging
import time
from typing import Any, Final, Literal

import pydantic

from jobyard.broker.errors import BrokerError
from jobyard_operator.control.connections import Connection
from jobyard_operator.control.context import Context
from jobyard_operator.core.deadletters import RELEASED_ANNOTATION, asks_for_retry, belongs, means_discard, mirror
from jobyard_operator.kubernetes.api import Conflict, NotFound, Object
from jobyard_operator.kubernetes.cache import Key
from jobyard_operator.kubernetes.kinds import DEAD_JOBS, JOB_QUEUES, NAMESPACES
from jobyard_operator.redis.dead_letters import move_letter, newest
from jobyard_operator.redis.look import Look
from jobyard_operator.resources.deadjob import DeadJob
from jobyard_operator.resources.jobqueue import JobQueue

#: Seconds between two comparisons, while letters come and go; …
SOONEST: Final = 2.0
#: … and otherwise.
RESYNC: Final = 60.0
#: What changes when a dead letter comes or goes.
_COUNTS: Final = ("failed", "retried", "revived", "discarded", "evicted", "recovered")

_logger: Final = logging.getLogger(__name__)


class DeadJobs:
    """Those of one JobQueue."""

    def __init__(self, context: Context, key: Key) -> None:
        self._context, self._key = context, key
        self._seen: tuple[int, ...] = ()
        self._compared_at = 0.0
        self._more = False

    def touched(self) -> None:
        """An object is gone that may have to come back: compare with the next step."""
        self._more = True

    async def step(self, queue: JobQueue, connection: Connection, seen: Look) -> None:
        """Do what people have asked for, and bring the objects up to date.

        Raises:
            ApiError, BrokerError: the rest follows with the next step.
        """
        ours = [dead for one in self._context.cache.of(DEAD_JOBS, self._key) if (dead := _parsed(one)) is not None]
        for dead in ours:
            if asks_for_retry(dead) and belongs(dead, queue) and dead.metadata.deletion_timestamp is None:
                await self._retry(queue, connection, dead)
        state = (seen.dead, queue.metadata.generation, *(seen.counts.get(name, 0) for name in _COUNTS))
        since = time.monotonic() - self._compared_at
        if (state == self._seen and not self._more and since < RESYNC) or since < SOONEST:
            return
        await self._mirror(queue, connection, ours)
        self._seen, self._compared_at = state, time.monotonic()

    async def _mirror(self, queue: JobQueue, connection: Connection, ours: list[DeadJob]) -> None:
        count = queue.spec.dead_letters.mirrored
        letters = await connection.call(newest, queue.spec.queue, count) if count else []
        others = [
            dead
            for one in self._context.cache.all(DEAD_JOBS)
            if one["metadata"].get("namespace") == self._key.namespace and (dead := _parsed(one)) is not None
        ]
        plan = mirror(queue, letters, others)
        self._more = bool(plan.create or plan.release)
        for whole in plan.create:
            self._context.must_lead()
            try:
                made = await self._context.api.create(DEAD_JOBS, self._key.namespace, whole)
            except Conflict:
                continue  # The watch is behind.
            self._context.cache.put(DEAD_JOBS, made)
        for dead in plan.release:
            await self._remove(dead)

    async def _retry(self, queue: JobQueue, connection: Connection, dead: DeadJob) -> None:
        # Each letter is moved once, whoever comes first, and however often this is done again.
        if await self._move(queue, connection, dead, "retry"):
            self._say("DeadLettersRetried", f"Job {dead.spec.job_id} runs again.")
        await self._remove(dead)

    async def _remove(self, dead: DeadJob) -> None:
        """Remove an object, so that everybody sees that its job is not meant."""
        self._context.must_lead()
        meta = {"uid": dead.metadata.uid, "annotations": {RELEASED_ANNOTATION: "true"}}
        try:
            await self._context.api.patch(DEAD_JOBS, self._key.namespace, dead.metadata.name, {"metadata": meta})
        except (NotFound, Conflict):
            return  # It is gone, or another one by now.
        await self._context.api.delete(DEAD_JOBS, self._key.namespace, dead.metadata.name, uid=dead.metadata.uid)

    async def removed(self, queue: JobQueue | None, connection: Connection | None, last: Object) -> None:
        """An object is gone: if a person has deleted it, its job is discarded.

        Raises:
            NotLeading, ApiError: nothing was done; the object comes back.
        """
        self.touched()
        dead = _parsed(last)
        if dead is None or queue is None or connection is None:
            return
        if not belongs(dead, queue) or not means_discard(dead):
            return
        self._context.must_lead()
        if await self._is_going(queue):
            return
        try:
            discarded = await self._move(queue, connection, dead, "discard")
        except BrokerError as error:
            # The letter is still there, so its object comes back: nothing is lost, and it can be deleted again.
            _logger.warning("Job %s of JobQueue %s was not discarded: %s", dead.spec.job_id, self._key, error)
            return
        if discarded:
            self._say("DeadLettersDiscarded", f"Job {dead.spec.job_id} is discarded.")

    async def _is_going(self, queue: JobQueue) -> bool:
        """Whether Kubernetes removes the objects itself. Asked of the API server: watches are behind, each as far as it likes."""
        try:
            told = await self._context.api.get(JOB_QUEUES, self._key.namespace, self._key.name)
            namespace = await self._context.api.get(NAMESPACES, None, self._key.namespace)
        except NotFound:
            return True
        if told["metadata"].get("uid") != queue.metadata.uid:
            return True
        return any("deletionTimestamp" in one["metadata"] for one in (told, namespace))

    async def _move(
        self, queue: JobQueue, connection: Connection, dead: DeadJob, action: Literal["retry", "discard"]
    ) -> bool:
        """Move the letter that the object shows, and no later one of the same job."""
        epoch = self._context.must_lead()
        try:
            return await connection.call(
                move_letter, queue.spec.queue, dead.spec.job_id, action, died=dead.spec.died_time, epoch=epoch
            )
        except ValueError:
            return False  # Its time is none: somebody has changed the object.

    def _say(self, reason: str, note: str) -> None:
        told = self._context.cache.get(JOB_QUEUES, self._key)
        if told is not None:
            self._context.events.say(told, reason, note, action="Command")


def _parsed(told: dict[str, Any]) -> DeadJob | None:
    try:
        return DeadJob.model_validate(told)
    except pydantic.ValidationError:
        return None  # Somebody else made it; it names no job of ours.
