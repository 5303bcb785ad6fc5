"""Batches: jobs of any actors and queues that together are one piece of work, with callbacks for its end.

    batch = jobyard.Batch(
        [send.message(address) for address in addresses],
        on_success=report.message(),    # all have completed
        on_failure=alert.message(),     # the first has become a dead letter, or was cancelled
        on_complete=tidy_up.message(),  # all have ended, in whatever way
    )
    batch.enqueue()
    batch.wait(timeout=60_000)

Inside its jobs and callbacks `jobyard.current_batch()` is the batch.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

import dramatiq
from dramatiq import Message

from jobyard.broker import JobyardBroker, get_broker
from jobyard.broker.batches import INNER, KINDS, BatchFailure, BatchStatus, new_record
from jobyard.broker.delivery import Delivery, FollowUp
from jobyard.broker.errors import WIRE_ERRORS, BrokerUnavailableError, translate
from jobyard.broker.keys import check_queue_name
from jobyard.broker.notices import home_of
from jobyard.context import current_job
from jobyard.errors import JobyardError

__all__ = ["Batch", "BatchClosed", "BatchFailure", "BatchHandle", "BatchStatus", "RunningBatch", "current_batch"]

#: The option in which a job of a batch, and each of its callbacks, carries the batch's id.
BATCH: Final = "jobyard_batch"
#: For how long a batch can be looked at after its end.
RETENTION: Final = timedelta(days=7)
#: A worker that is killed when it has counted the last end leaves the callbacks to the next one, which needs the record.
SHORTEST_RETENTION: Final = timedelta(hours=1)
#: Who waits for a batch looks at it at least every so many seconds.
_LONGEST_SILENCE: Final = 1.0
_LONGEST_NAME: Final = 128
_NAMESPACE: Final = uuid.UUID("c1f3b7a2-8d0e-4b53-9a37-5e2f4f0d6b18")


class BatchClosed(JobyardError):
    """No job can be added to this batch (any more)."""


class BatchHandle:
    """A batch that exists in Redis.

    Args:
        batch_id: as `Batch.id` says it.
        broker: None: Dramatiq's global one.

    Raises:
        TypeError: the broker is not Jobyard's.
    """

    def __init__(self, batch_id: str, *, broker: dramatiq.Broker | None = None) -> None:
        found = get_broker() if broker is None else broker
        if not isinstance(found, JobyardBroker):
            raise TypeError(f"batches need a JobyardBroker, not a {type(found).__name__}")
        self.id = batch_id
        self.broker = found

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def status(self) -> BatchStatus:
        """The batch as it is now.

        Raises:
            LookupError: there is no such batch: not enqueued, or it ended so long ago that it is forgotten.
            BrokerError: Redis could not be asked.
        """
        found = self.broker.batches.status(self.id)
        if found is None:
            raise LookupError(f"there is no batch {self.id!r}: it was not enqueued, or is not kept any longer")
        return found

    def wait(self, *, timeout: int = 10_000) -> BatchStatus:
        """Block until all jobs have ended, in whatever way. A job that fails is not waited for: see `BatchStatus.succeeded`.

        Args:
            timeout: in milliseconds.

        Raises:
            TimeoutError: some have not ended in time; says how many.
            LookupError, BrokerError: as `status`.
        """
        deadline = time.monotonic() + timeout / 1000
        channel = self.broker.batches.record_key(self.id)
        with self.broker.server.client().pubsub() as pubsub:
            listening = False
            while True:
                status = self.status()
                left = deadline - time.monotonic()
                if status.ended:
                    return status
                if left <= 0:
                    raise TimeoutError(f"{status.pending} of {status.total} jobs of batch {self.id!r} have not ended")
                try:
                    # The first answer only says that we hear now. Then we look once more; whatever ends the batch afterwards
                    # tells us.
                    if not listening:
                        pubsub.subscribe(channel)
                    pubsub.get_message(timeout=min(left, _LONGEST_SILENCE))
                    listening = True
                except WIRE_ERRORS as error:
                    found = translate(error)
                    if not isinstance(found, BrokerUnavailableError):
                        raise found from None
                    listening = False
                    # Looking at the batch has the patience of all calls; this keeps the time between two looks from being none.
                    time.sleep(min(left, 0.1))

    def cancel(self) -> dict[str, str]:
        """Cancel all jobs that have not ended: those that wait at once, those that run are asked to stop. No more can be added.

        Returns:
            The state that each had, by id; see `JobyardBroker.cancel`.
        """
        return self.broker.batches.stop(self.id)


class Batch(BatchHandle):
    """Jobs that belong together. Nothing exists in Redis before `enqueue`.

    Args:
        messages: the jobs, of any queues. Their option `delay` (milliseconds) holds. Also batches: each counts as one job, that
            is completed when all of its own are, and dead when they have all ended otherwise.
        on_success: enqueued once, when all jobs have completed.
        on_failure: enqueued once, when the first job has become a dead letter, was cancelled or discarded.
        on_complete: enqueued once, when all jobs have ended: completed, dead, cancelled or discarded.
        description: one line for people.
        tags: for programs.
        name: makes the id together with the batch's home, which is the queue of its first callback, or of its first job.
            None: a new one.
        retention: for how long the batch can be looked at after its end, at least an hour; and for how long one that was
            never wholly enqueued is kept.
        broker: None: Dramatiq's global one.

    Raises:
        TypeError: a job is no message (a pipeline can't be a job of a batch; its steps can add the next one).
        ValueError: a name or a message can't be.
    """

    def __init__(
        self,
        messages: Iterable[Message[Any] | Batch] = (),
        *,
        on_success: Message[Any] | None = None,
        on_failure: Message[Any] | None = None,
        on_complete: Message[Any] | None = None,
        description: str = "",
        tags: Sequence[str] = (),
        name: str | None = None,
        retention: timedelta = RETENTION,
        broker: dramatiq.Broker | None = None,
    ) -> None:
        given = zip(KINDS, (on_success, on_failure, on_complete), strict=True)
        callbacks = {kind: _checked(message) for kind, message in given if message is not None}
        self.messages: list[Message[Any]] = []
        self.batches: list[Batch] = []
        self._enqueued = False
        self._inner = False  # part of another one, and enqueued with that
        self.add(*messages)
        name = name or uuid.uuid4().hex
        if len(name) > _LONGEST_NAME or "\0" in name:
            raise ValueError(f"a batch's name has 1 to {_LONGEST_NAME} characters, none of them NUL, not {name[:80]!r}")
        if retention < SHORTEST_RETENTION:
            raise ValueError(f"a batch is kept for at least {SHORTEST_RETENTION} after its end, not {retention}")
        first = next(iter([*callbacks.values(), *self.messages]), None)
        home = check_queue_name(first.queue_name if first is not None else "default")
        super().__init__(f"{home}:{name}", broker=broker)
        self.description = description
        self.tags = tuple(tags)
        self.retention = retention
        self._callbacks = {
            kind: message.copy(message_id=str(uuid.uuid5(_NAMESPACE, f"{self.id}\0{kind}")), options={BATCH: self.id})
            for kind, message in callbacks.items()
        }

    def add(self, *messages: Message[Any] | Batch) -> None:
        """Add jobs or batches, before the batch is enqueued.

        Raises:
            BatchClosed: it is enqueued. Only its own jobs can add to it now: `jobyard.current_batch().add(…)`. Or a batch that
                is added is enqueued, or part of a batch, already.
        """
        if self._enqueued:
            raise BatchClosed(f"batch {self.id!r} is enqueued: only its own jobs can add to it now")
        jobs = [_checked(one) for one in messages if not isinstance(one, Batch)]
        for one in messages:
            if isinstance(one, Batch):
                if one._enqueued or one._inner:
                    raise BatchClosed(
                        f"batch {one.id!r} is enqueued, or part of a batch: it can't become part of another"
                    )
                one._inner = True
                self.batches.append(one)
        self.messages += jobs

    def enqueue(self) -> Batch:
        """Enqueue all jobs. Doing it again, after an error for instance, is safe: it does what is left to do.

        Until all jobs are enqueued no callback is called. An empty batch has succeeded at once.

        Raises:
            As `JobyardBroker.enqueue`. Some jobs may have been accepted then, and run.
        """
        if self._inner:
            raise BatchClosed(f"batch {self.id!r} is part of another one, and is enqueued with that")
        self._enqueue("")
        return self

    def _enqueue(self, parent: str) -> None:
        batches = self.broker.batches
        callbacks = {kind: self.broker.follow_up(message) for kind, message in self._callbacks.items()}
        record = new_record(self.description, self.tags, callbacks, parent)
        keep = int(self.retention.total_seconds() * 1000)
        jobs = _prepare(self.broker, self.id, self.messages)
        entries = [(job.job_id, job.queue_name) for job in jobs]
        entries += [(inner.id, INNER + home_of(inner.id)[0]) for inner in self.batches]
        said, ended = batches.enter(self.id, entries, record=record, keep=keep)
        if said == "open":
            # Those that have ended may be forgotten where they ran: they would run again.
            left = [job for job in jobs if job.job_id not in ended]
            strangers = _accept(self.broker, self.id, left)
            for inner in self.batches:
                inner._enqueue(self.id)
            if batches.seal(self.id, strangers=strangers, whole=True):
                self.cancel()  # Somebody did that while they were on their way.
        self._enqueued = True


class RunningBatch(BatchHandle):
    """The batch of the job that is running here, or whose callback it is."""

    def __init__(self, batch_id: str, job: Delivery, *, broker: dramatiq.Broker | None = None) -> None:
        super().__init__(batch_id, broker=broker)
        self._job = job

    def add(self, *messages: Message[Any]) -> None:
        """Enqueue more jobs as part of the batch, which does not end before they do.

        If the running job fails after that and runs again, jobs with the same arguments are known already, and are not
        enqueued a second time. For that they get ids of their own.

        Raises:
            BatchClosed: the batch is cancelled, or this is no job of the batch but its callback.
            As `JobyardBroker.enqueue`.
        """
        job, batches = self._job, self.broker.batches
        jobs = _prepare(self.broker, self.id, [self._named(_checked(message)) for message in messages])
        entries = [(one.job_id, one.queue_name) for one in jobs]
        said, ended = batches.enter(self.id, entries, adder=job.message_id, record=[], keep=0)
        if said == "stranger":
            # It may be a dead letter that was retried a moment ago.
            batches.hear([job.queue_name])
            said, ended = batches.enter(self.id, entries, adder=job.message_id, record=[], keep=0)
        if said != "open":
            raise BatchClosed(f"batch {self.id!r} takes no jobs from job {job.message_id}: {_REASONS[said]}")
        left = [one for one in jobs if one.job_id not in ended]
        strangers = _accept(self.broker, self.id, left)
        if batches.seal(self.id, strangers=strangers, added=[one.job_id for one in left], whole=False):
            self.cancel()

    def _named(self, message: Message[Any]) -> Message[Any]:
        """With an id that is the same when a later attempt of this job adds the same."""
        content = dramatiq.get_encoder().encode(message.copy(message_id="", message_timestamp=0).asdict())
        digest = hashlib.sha256(content).hexdigest()
        if self._job.added is None:
            self._job.added = Counter()
        self._job.added[digest] += 1
        name = f"{self.id}\0{self._job.message_id}\0{digest}\0{self._job.added[digest]}"
        return message.copy(message_id=str(uuid.uuid5(_NAMESPACE, name)))


_REASONS: Final = {
    "unknown": "it is not known (any more)",
    "stopped": "it is cancelled",
    "stranger": "that is none of its jobs, or has ended",
}


def current_batch() -> RunningBatch | None:
    """The batch of the job that is running here, or whose callback it is; None: there is none."""
    job = current_job()
    if not isinstance(job, Delivery) or not isinstance(job.options.get(BATCH), str):
        return None
    return RunningBatch(job.options[BATCH], job)


def _checked(message: Any) -> Message[Any]:
    if not isinstance(message, Message):
        raise TypeError(
            f"a batch is made of messages, as actor.message(…) makes them, not of a {type(message).__name__}"
        )
    return message


def _prepare(broker: JobyardBroker, batch_id: str, messages: Sequence[Message[Any]]) -> list[FollowUp]:
    """The jobs as they go to Redis, each once."""
    jobs: dict[str, FollowUp] = {}
    hooks = broker.hooks
    for message in messages:
        marked = message.copy(options={BATCH: batch_id})
        hooks.before("before_enqueue", broker, marked, marked.options.get("delay"))
        job = broker.follow_up(marked, batch=batch_id)
        if jobs.setdefault(job.job_id, job).queue_name != job.queue_name:
            raise ValueError(f"two jobs of batch {batch_id!r}, in different queues, have the id {job.job_id!r}")
        hooks.after("after_enqueue", broker, marked, marked.options.get("delay"))
    return list(jobs.values())


def _accept(broker: JobyardBroker, batch_id: str, jobs: Sequence[FollowUp]) -> list[str]:
    """Enqueue jobs. Returns the ids of those that are none of the batch."""
    strangers = sorted(broker.accept_for_batch(jobs))
    if strangers:
        broker.logger.warning(
            "%d jobs are not part of batch %s, since other jobs stand for them (unique keys, or another batch): %s",
            len(strangers),
            batch_id,
            ", ".join(strangers[:5]),
        )
    return strangers
