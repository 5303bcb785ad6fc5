"""Pods that died: their jobs run again in about a second, and the cause stands with their attempts. The lease is behind this."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from jobyard.broker.errors import BrokerError
from jobyard_operator.control.connections import Connection
from jobyard_operator.control.context import Context, NotLeading
from jobyard_operator.core.pods import End, end_of_pod, facts
from jobyard_operator.kubernetes.cache import Change, Key
from jobyard_operator.kubernetes.kinds import JOB_QUEUES
from jobyard_operator.redis.pods import Cause, fence_pod

#: Seconds for which a fence is tried again; after that the leases have ended.
PATIENCE: Final = 30.0
#: Seconds after which an end is of no interest any more: the leases have ended long ago.
OLD: Final = 60.0
#: Ends that are remembered as done.
MOST: Final = 10_000

Finder = Callable[[Key], tuple[Connection, str] | None]

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Death:
    queue: Key
    pod: str
    end: End
    name: str  # of this death
    at: float


class Fencing:
    """Hears of pods, for all JobQueues.

    Args:
        find: the connection and the name of a JobQueue's queue, once it was looked at.
        served: which queues a pod serves, as its workers have said.
    """

    def __init__(self, context: Context, find: Finder, served: Callable[[Connection, str], Iterable[str]]) -> None:
        self._context, self._find, self._served = context, find, served
        self._deaths: asyncio.Queue[_Death] = asyncio.Queue()
        self._done: OrderedDict[str, None] = OrderedDict()

    def heard(self, change: Change) -> None:
        """A pod has changed or gone."""
        if change.queue is None:
            return
        now = time.monotonic()
        if change.after is None:
            if change.before is not None:
                uid = change.before["metadata"].get("uid", "")
                self._queue(_Death(change.queue, change.key.name, end_of_pod(change.before), uid, now))
            return
        for container, end in facts(change.after).ends.items():
            self._queue(_Death(change.queue, change.key.name, end, container, now))

    def _queue(self, death: _Death) -> None:
        if death.end.before is not None and death.end.before < time.time() - OLD:
            return
        if death.name not in self._done:
            self._done[death.name] = None
            while len(self._done) > MOST:
                self._done.popitem(last=False)
            self._deaths.put_nowait(death)

    async def run(self) -> None:
        """Fence what has died, until cancelled. Whoever doesn't lead leaves it to the leader."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                death = await self._deaths.get()
                tasks.create_task(self._fence(death))

    async def _fence(self, death: _Death) -> None:
        while time.monotonic() < death.at + PATIENCE:
            found = self._find(death.queue)
            try:
                self._context.must_lead()
                if found is not None:
                    await self._once(death, *found)
                    return
            except NotLeading:
                pass  # The leader does it; and if that one has just died, we lead in some seconds.
            except BrokerError as error:
                _logger.warning("The jobs of pod %s were not given back yet: %s", death.pod, error)
            await asyncio.sleep(0.5)

    async def _once(self, death: _Death, connection: Connection, queue: str) -> None:
        end = death.end
        cause = Cause(
            kind=end.kind,
            message=end.message,
            counts_attempt=end.counts,
            exit_code=end.exit_code,
            node=end.node or None,
            image=end.image or None,
        )
        queues = {queue, *self._served(connection, death.pod)}
        fenced = await connection.call(fence_pod, death.pod, cause, started_before=end.before, queues=queues)
        if not fenced.jobs:
            return
        labels = (death.queue.namespace, death.queue.name, end.kind)
        self._context.metrics.fenced_jobs.labels(*labels).inc(fenced.jobs)
        told = self._context.cache.get(JOB_QUEUES, death.queue)
        jobs = "1 job runs" if fenced.jobs == 1 else f"{fenced.jobs} jobs run"
        _logger.info("JobQueue %s: %s: %s again.", death.queue, end.message, jobs)
        if told is not None:
            self._context.events.say(told, "JobsRecovered", f"{end.message}: {jobs} again.", kind="Warning")
