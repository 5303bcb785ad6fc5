"""What can be done with queues and running jobs: look, configure, pause, cancel, revoke, discard. A part of the broker."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, cast

from pydantic import ValidationError

from jobyard.broker import keys as layout
from jobyard.broker.batches import Batches
from jobyard.broker.breakers import Breakers
from jobyard.broker.bulk import Bulk
from jobyard.broker.dead_letters import DeadLetters
from jobyard.broker.delivery import Completed
from jobyard.broker.errors import BrokerError
from jobyard.broker.failures import Failures
from jobyard.broker.inspector import Inspector
from jobyard.broker.keys import QueueKeys
from jobyard.broker.link import Link
from jobyard.broker.paging import pages
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.schedules import Schedules
from jobyard.broker.scripts import Argument, script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

#: Jobs in one call.
_BULK: Final = 1000


class Operations(ABC):
    """Needs a connection and the names of keys; the broker has both."""

    namespace: str
    logger: logging.Logger

    @property
    @abstractmethod
    def link(self) -> Link: ...

    @abstractmethod
    def keys(self, queue_name: str) -> QueueKeys: ...

    @abstractmethod
    def announce(self, queue_names: Iterable[str]) -> None: ...

    @cached_property
    def inspector(self) -> Inspector:
        """What can be asked about queues and jobs."""
        return Inspector(cast("JobyardBroker", self))

    @cached_property
    def batches(self) -> Batches:
        """The records of batches; see `jobyard.Batch`."""
        return Batches(cast("JobyardBroker", self))

    @cached_property
    def breakers(self) -> Breakers:
        """The circuit breakers of what jobs depend on."""
        return Breakers(cast("JobyardBroker", self))

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """What can be done with dead letters."""
        return DeadLetters(cast("JobyardBroker", self))

    @cached_property
    def bulk(self) -> Bulk:
        """What can be done with all jobs that fit a filter."""
        return Bulk(cast("JobyardBroker", self))

    @cached_property
    def schedules(self) -> Schedules:
        """The schedules that put jobs into queues."""
        return Schedules(cast("JobyardBroker", self))

    @cached_property
    def failures(self) -> Failures:
        """Failures that are the same, counted together."""
        return Failures(cast("JobyardBroker", self))

    def configure(self, queue_name: str, policy: QueuePolicy) -> QueuePolicy:
        """Change those parts of a queue's policy that are set in `policy`. Returns the whole policy.

        Raises:
            ValueError: it doesn't fit to what holds already. Nothing was changed.
        """
        try:
            held = self.inspector.stats(queue_name).policy
        except ValidationError:
            held = QueuePolicy()  # It can't be read, which is perhaps what this change repairs.
        held.changed_by(policy)
        self.announce([queue_name])
        fields = policy.to_fields()
        flat = [part for pair in fields.items() for part in pair]
        reply = self.link.call(script("configure"), self.keys(queue_name).all, flat)
        if "ageing" in fields:
            self.reorder(queue_name)
        texts = [part.decode() for part in reply]
        return QueuePolicy.from_fields(dict(zip(texts[::2], texts[1::2], strict=True)))

    def reorder(self, queue_name: str) -> None:
        """Jobs that are here already take part in ageing, or no longer do: page by page, since a backlog may be long.

        What changes a policy's ageing sees to it; doing it again changes nothing.
        """
        keys = self.keys(queue_name)
        for place in ("ready", "active"):
            ids = self.link.command(b"ZRANGE", keys[place], 0, -1, key=keys[place])
            for some in pages(ids, _BULK):
                self.link.call(script("reorder"), keys.all, some)

    def pause(self, queue_name: str) -> None:
        """Start no more jobs of this queue; accept them still."""
        self.configure(queue_name, QueuePolicy(paused=True))

    def resume(self, queue_name: str) -> None:
        """Undo `pause`."""
        self.configure(queue_name, QueuePolicy(paused=False))

    def cancel(self, job_id: str, *, queue: str | None = None) -> str:
        """Cancel a job: at once where it waits; where it runs, its worker is asked to interrupt it.

        Returns:
            The state that the job had: waiting, delayed (both: it is cancelled now), active (it will stop soon), or dead,
            completed, cancelled, unknown (nothing was done).
        """
        for name in [queue] if queue is not None else self.inspector.queues():
            state = self.cancel_many(name, [job_id])[job_id]
            if state != "unknown":
                return state
        return "unknown"

    def cancel_many(self, queue: str, job_ids: Iterable[str]) -> dict[str, str]:
        """Cancel jobs of one queue, a thousand in a call: at once where they wait; where they run, their workers are asked to
        interrupt them.

        Returns:
            The state that each job had, see `cancel`.

        Raises:
            BrokerError: calls before the one that failed stay applied. Doing it again is safe.
        """
        before: dict[str, str] = {}
        for some in pages(list(dict.fromkeys(job_ids)), _BULK):
            reply = self.link.call(script("cancel"), self.keys(queue).all, some)
            before.update(zip(some, (state.decode() for state in reply[::2]), strict=True))
            for caller in {one.decode() for one in reply[1::2]} - {""}:
                # Only a nudge: the worker sees it at its next renewal in any case.
                self.link.command(b"PUBLISH", layout.worker_channel(self.namespace, caller), b"cancel")
        self.tell_batches(queue)
        return before

    def tell_batches(self, queue: str) -> None:
        """Let batches hear what was done to their jobs of this queue. If that fails, workers do it later."""
        try:
            self.batches.hear([queue])
        except BrokerError as error:
            self.logger.warning("Batches may hear later what was done in queue %s: %s", queue, error)

    def revoke(
        self,
        token: str,
        cause: bytes,
        *,
        started: Sequence[str] | None = None,
        completed: Sequence[Completed] = (),
    ) -> tuple[int, int]:
        """A worker is dead: what it had completed is completed, and its other jobs run again at once.

        Args:
            token: the dead worker's.
            cause: a JSON object that is kept with the attempt.
            started: ids of the jobs that were running. The attempt of others doesn't count. None: not known, all count.
            completed: jobs that it had completed, but perhaps not delivered.

        Returns:
            How many jobs went back, and how many were completed.
        """
        back = done = 0
        tail: list[Argument] = ["all"] if started is None else ["some", *started]
        for name in self.inspector.queues():
            arguments: list[Argument] = [token, cause, len(completed)]
            for job in completed:
                arguments += (job.job_id, job.call, job.result)
            moved, ended = self.link.call(script("revoke"), self.keys(name).all, [*arguments, *tail])
            back, done = back + moved, done + ended
        return back, done

    def flush(self, queue_name: str) -> None:
        """Discard all jobs of a queue that wait, in whatever way. They are counted as discarded."""
        for place in ("ready", "scheduled", "parked"):
            while self.link.call(script("discard"), self.keys(queue_name).all, [place]):
                pass
        self.tell_batches(queue_name)
