"""`Client`: for threads. Every method may be called from any thread; each thread has a connection of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import Job, QueueStats
from jobyard.client.outcomes import value_of
from jobyard.client.requests import Options, Request, delay_of, id_of
from jobyard.settings import BrokerSettings

#: Seconds for which `result` waits where nothing else is said.
DEFAULT_TIMEOUT = 10.0


class JobHandle:
    """A job that was handed in.

    Attributes:
        id: the job's id.
        queue: the queue that it is in.
        duplicate: another job had its unique key: this is that one, and no job was added.
    """

    def __init__(self, client: Client, job_id: str, queue: str | None, *, duplicate: bool = False) -> None:
        self._client = client
        self.id = job_id
        self.queue = queue
        self.duplicate = duplicate

    def __repr__(self) -> str:
        return f"JobHandle({self.id!r}, queue={self.queue!r})"

    def job(self) -> Job | None:
        """The job as it is now; None: it is not kept any more."""
        return self._client.job(self.id, queue=self.queue)

    def wait(self, timeout: float = DEFAULT_TIMEOUT) -> Job | None:
        """Block until it has ended, or the seconds are over. Returns it as it is then."""
        return self._client.wait(self.id, queue=self.queue, timeout=timeout)

    def result(self, timeout: float = DEFAULT_TIMEOUT) -> Any:
        """What it returned; waits for it. See `Client.result`."""
        return self._client.result(self.id, queue=self.queue, timeout=timeout)

    def cancel(self) -> str:
        """Cancel it. See `Client.cancel`."""
        return self._client.cancel(self.id, queue=self.queue)


class Client:
    """Hands jobs in by the names of their actors.

    Args:
        url: which Redis; see `jobyard.broker.server`. None: as JOBYARD_REDIS_URL says, with JOBYARD_NAMESPACE and
            JOBYARD_PATIENCE.
        options: what `JobyardBroker` takes besides, such as `namespace` and `durability`.

    What an actor declares in code (its queue, priority, limits, the check of its payload) is not known here: give it.
    """

    def __init__(self, url: str | None = None, **options: Any) -> None:
        if url is None and not options:
            self.broker = BrokerSettings().make_broker()
        else:
            settings = BrokerSettings()
            options = {"namespace": settings.namespace, "patience": settings.patience, **options}
            self.broker = JobyardBroker(url or settings.redis_url.get_secret_value(), middleware=[], **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close this thread's connection."""
        self.broker.close()

    def enqueue(
        self,
        actor: str,
        /,
        *args: Any,
        queue: str = "default",
        wishes: Options | None = None,
        **kwargs: Any,
    ) -> JobHandle:
        """Hand one job in: `enqueue("resize", image_id, queue="images", wishes={"delay": 5_000})`.

        Args:
            actor: its name.
            args, kwargs: what the actor is called with.
            wishes: see `Options`.

        Raises:
            ValueError, TypeError: it can never be accepted.
            RateLimitExceeded: the queue takes no more now.
            BrokerUnavailableError: it is not known whether Redis has it.
        """
        rest = wishes.copy() if wishes else Options()
        delay = delay_of(rest.pop("delay", None), rest.pop("run_at", None))
        message = Request(actor, args, kwargs, queue, rest).message()
        sent = self.broker.enqueue(message, delay=delay)
        return JobHandle(self, sent.message_id, queue, duplicate=sent.message_id != id_of(message))

    def enqueue_many(
        self, jobs: Iterable[Request], *, delay: int | timedelta | None = None, run_at: datetime | None = None
    ) -> list[JobHandle]:
        """Hand many jobs in, a thousand in a call. Each call is accepted as a whole or not at all.

        A job whose unique key another one has is not accepted: `job()` of its handle is None.

        Raises:
            As `enqueue`; calls before the one that failed stay accepted.
        """
        messages = [job.message() for job in jobs]
        self.broker.enqueue_many(messages, delay=delay_of(delay, run_at))
        return [JobHandle(self, id_of(message), message.queue_name) for message in messages]

    def handle(self, job_id: str, *, queue: str | None = None) -> JobHandle:
        """A job that was handed in before, perhaps by somebody else. Asks nobody. With its queue, all is faster."""
        return JobHandle(self, job_id, queue)

    def job(self, job_id: str, *, queue: str | None = None) -> Job | None:
        """A job as it is now; None: there is none, or it is no longer kept."""
        return self.broker.inspector.job(job_id, queue=queue)

    def wait(self, job_id: str, *, queue: str | None = None, timeout: float = DEFAULT_TIMEOUT) -> Job | None:
        """Block until a job has ended, or the seconds are over. Returns the job as it is then; None: there is none."""
        deadline = time.monotonic() + timeout
        if queue is None:
            found = self.job(job_id)
            if found is None or found.ended:
                return found
            queue = found.queue
        return self.broker.inspector.wait(job_id, queue=queue, deadline=deadline)

    def result(self, job_id: str, *, queue: str | None = None, timeout: float = DEFAULT_TIMEOUT) -> Any:
        """What a job returned; waits for it.

        Raises:
            JobFailed: it became a dead letter, or was cancelled.
            JobPending: it has not ended within the seconds.
            JobUnknown: there is no such job.
        """
        return value_of(self.wait(job_id, queue=queue, timeout=timeout), job_id)

    def cancel(self, job_id: str, *, queue: str | None = None) -> str:
        """Cancel a job: at once where it waits; where it runs, its worker is asked to interrupt it.

        Returns:
            The state that it had, or `unknown`. Nothing was done to one that had ended.
        """
        return self.broker.cancel(job_id, queue=queue)

    def stats(self, queue: str = "default") -> QueueStats:
        """The ledger of a queue."""
        return self.broker.inspector.stats(queue)
