"""`AsyncClient`: for asyncio. The event loop never blocks.

Calls to Redis run on a few threads, each with its own connection, since one core speaks with Redis for both clients. Waiting
costs no thread: however many jobs are waited for, one thread and one connection a queue tell of their ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from jobyard.broker.inspector import Job, QueueStats
from jobyard.client.ends import QueueEnds
from jobyard.client.outcomes import value_of
from jobyard.client.requests import Options, Request
from jobyard.client.sync import DEFAULT_TIMEOUT, Client

P = ParamSpec("P")
T = TypeVar("T")


class AsyncJobHandle:
    """A job that was handed in. As `JobHandle`, to be awaited."""

    def __init__(self, client: AsyncClient, job_id: str, queue: str | None, *, duplicate: bool = False) -> None:
        self._client = client
        self.id = job_id
        self.queue = queue
        self.duplicate = duplicate

    def __repr__(self) -> str:
        return f"AsyncJobHandle({self.id!r}, queue={self.queue!r})"

    async def job(self) -> Job | None:
        """The job as it is now; None: it is not kept any more."""
        return await self._client.job(self.id, queue=self.queue)

    async def wait(self, timeout: float = DEFAULT_TIMEOUT) -> Job | None:
        """Wait until it has ended, or the seconds are over. Returns it as it is then."""
        return await self._client.wait(self.id, queue=self.queue, timeout=timeout)

    async def result(self, timeout: float = DEFAULT_TIMEOUT) -> Any:
        """What it returned; waits for it. See `Client.result`."""
        return await self._client.result(self.id, queue=self.queue, timeout=timeout)

    async def cancel(self) -> str:
        """Cancel it. See `Client.cancel`."""
        return await self._client.cancel(self.id, queue=self.queue)


class AsyncClient:
    """Hands jobs in by the names of their actors. The twin of `Client`: the same arguments, the same errors.

    Args:
        url: which Redis; None: as JOBYARD_REDIS_URL says.
        threads: how many calls may be under way at a time.
        options: as for `Client`.

    Use it as an async context manager, or close it in the end: `await client.close()`.
    """

    def __init__(self, url: str | None = None, *, threads: int = 4, **options: Any) -> None:
        self._client = Client(url, **options)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="jobyard-client")
        self._ends: dict[str, QueueEnds] = {}
        self._lock = threading.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End its threads and connections. Whoever still waits for a job is told that it has not ended."""
        await asyncio.to_thread(self._close)

    async def enqueue(
        self, actor: str, /, *args: Any, queue: str = "default", wishes: Options | None = None, **kwargs: Any
    ) -> AsyncJobHandle:
        """Hand one job in. See `Client.enqueue`."""
        sent = await self._call(self._client.enqueue, actor, *args, queue=queue, wishes=wishes, **kwargs)
        return AsyncJobHandle(self, sent.id, sent.queue, duplicate=sent.duplicate)

    async def enqueue_many(
        self, jobs: Iterable[Request], *, delay: int | timedelta | None = None, run_at: datetime | None = None
    ) -> list[AsyncJobHandle]:
        """Hand many jobs in. See `Client.enqueue_many`."""
        sent = await self._call(self._client.enqueue_many, list(jobs), delay=delay, run_at=run_at)
        return [AsyncJobHandle(self, one.id, one.queue) for one in sent]

    def handle(self, job_id: str, *, queue: str | None = None) -> AsyncJobHandle:
        """A job that was handed in before, perhaps by somebody else. Asks nobody."""
        return AsyncJobHandle(self, job_id, queue)

    async def job(self, job_id: str, *, queue: str | None = None) -> Job | None:
        """A job as it is now; None: there is none, or it is no longer kept."""
        return await self._call(self._client.job, job_id, queue=queue)

    async def wait(
        self,
        job_id: str,
        *,
        queue: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Job | None:
        """Wait until a job has ended, or the seconds are over. Returns the job as it is then; None: there is none."""
        if queue is None:
            found = await self.job(job_id)
            if found is None or found.ended:
                return found
            queue = found.queue
        loop = asyncio.get_running_loop()
        over: asyncio.Future[Job | None] = loop.create_future()

        def tell(job: Job | None) -> None:
            with suppress(RuntimeError):  # The loop has been closed meanwhile: nobody waits any more.
                loop.call_soon_threadsafe(lambda: None if over.done() else over.set_result(job))

        ends = self._ends_of(queue)
        try:
            async with asyncio.timeout(timeout):
                await self._call(ends.listen, job_id, tell)
                return await over
        except TimeoutError:
            return await self.job(job_id, queue=queue)
        finally:
            ends.forget(job_id, tell)

    async def result(
        self,
        job_id: str,
        *,
        queue: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Any:
        """What a job returned; waits for it. See `Client.result` for what it raises."""
        return value_of(await self.wait(job_id, queue=queue, timeout=timeout), job_id)

    async def cancel(self, job_id: str, *, queue: str | None = None) -> str:
        """Cancel a job. See `Client.cancel`."""
        return await self._call(self._client.cancel, job_id, queue=queue)

    async def stats(self, queue: str = "default") -> QueueStats:
        """The ledger of a queue."""
        return await self._call(self._client.stats, queue)

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def _ends_of(self, queue: str) -> QueueEnds:
        with self._lock:
            if queue not in self._ends:
                self._ends[queue] = QueueEnds(self._client.broker, queue)
            return self._ends[queue]

    def _close(self) -> None:
        for one in self._ends.values():
            one.close()
        # Each thread closes its own connection.
        barrier = threading.Barrier(self._pool._max_workers + 1)

        def close_one() -> None:
            self._client.close()
            barrier.wait(timeout=30)

        for _ in range(self._pool._max_workers):
            self._pool.submit(close_one)
        barrier.wait(timeout=30)
        self._pool.shutdown()
        self._client.close()
