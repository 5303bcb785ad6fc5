"""The status of a JobQueue: written when it matters, and at a bounded rate."""

from __future__ import annotations

import time
from typing import Any, Final

from jobyard_operator.control.context import Context
from jobyard_operator.control.looking import Deployed
from jobyard_operator.control.times import now
from jobyard_operator.core import rendering
from jobyard_operator.core.conditions import OURS, Facts, conditions
from jobyard_operator.kubernetes.api import NotFound
from jobyard_operator.kubernetes.cache import Key
from jobyard_operator.kubernetes.kinds import JOB_QUEUES
from jobyard_operator.redis.look import Look
from jobyard_operator.resources.jobqueue import CommandStatus, DecisionStatus, JobQueue, JobQueueStatus

#: Seconds between two writes, at least.
SOONEST: Final = 1.0
#: Seconds between two writes where only numbers and sentences have changed.
NUMBERS: Final = 10.0


class StatusWriter:
    """That of one JobQueue."""

    def __init__(self, context: Context, key: Key) -> None:
        self._context, self._key = context, key
        self._written: JobQueueStatus | None = None
        self._written_at = 0.0
        self._uid = ""

    def forget(self) -> None:
        """Somebody else may have written it."""
        self._written = None

    def last(self, queue: JobQueue) -> JobQueueStatus:
        """What stands there: as we wrote it last, since the watch is behind."""
        if self._written is None or self._uid != queue.metadata.uid:
            self._written, self._uid, self._written_at = queue.status, queue.metadata.uid, 0.0
        return self._written

    async def write(
        self, queue: JobQueue, facts: Facts, deployed: Deployed, look: Look | None, commands: list[CommandStatus]
    ) -> float | None:
        """Write it if it is time to. Returns the seconds until it will be; None: nothing is left to write."""
        before = self.last(queue)
        status = _status(queue, before, facts, deployed, look, commands)
        if status == before:
            return None
        since = time.monotonic() - self._written_at
        pause = SOONEST if _matters(before) != _matters(status) else NUMBERS
        if since < pause:
            return pause - since
        self._context.must_lead()
        body = {"status": status.model_dump(mode="json", by_alias=True)}
        try:
            await self._context.api.patch(JOB_QUEUES, self._key.namespace, self._key.name, body, subresource="status")
        except NotFound:
            return None
        self._written, self._written_at = status, time.monotonic()
        return None


def _status(
    queue: JobQueue,
    before: JobQueueStatus,
    facts: Facts,
    deployed: Deployed,
    look: Look | None,
    commands: list[CommandStatus],
) -> JobQueueStatus:
    at = now()
    theirs = [one for one in queue.status.conditions if one.type not in OURS]
    decided = before.decision
    if facts.decision is not None:
        decision = facts.decision
        same = decided and decided.reason == decision.reason and decided.desired_replicas == decision.desired
        decided = DecisionStatus(
            desired_replicas=decision.desired,
            reason=decision.reason,
            message=decision.sentence[:1024],
            time=decided.time if same and decided else at,
        )
    counts: dict[str, Any] = {}
    if look is not None:
        counts = {
            "waiting": look.waiting + look.orphaned,
            "active": look.active,
            "delayed": look.delayed,
            "parked": look.parked,
            "dead": look.dead,
            "oldest_seconds": int(look.oldest),
        }
    return before.model_copy(
        update={
            "observed_generation": queue.metadata.generation,
            "replicas": deployed.existing,
            "ready_replicas": deployed.ready,
            "selector": ",".join(f"{name}={value}" for name, value in rendering.selector(queue).items()),
            "decision": decided,
            "commands": commands,
            # Ours as we wrote them last, those of others as they are now.
            "conditions": conditions(facts, [*theirs, *(one for one in before.conditions if one.type in OURS)], at),
            **counts,
        }
    )


def _matters(status: JobQueueStatus) -> tuple[Any, ...]:
    """What is written at once. Numbers that move all the time are not among it, but whether there are any is."""
    return (
        status.observed_generation,
        status.replicas,
        status.ready_replicas,
        status.selector,
        status.decision and (status.decision.desired_replicas, status.decision.reason),
        [(one.annotation, one.token, one.outcome) for one in status.commands],
        [(one.type, one.status, one.reason, one.observed_generation) for one in status.conditions],
        # Somebody who mends one thing after the other waits for the next sentence.
        [one.message for one in status.conditions if one.reason == "NeedsChange"],
        bool(status.waiting),
        bool(status.active),
        bool(status.dead),
    )
