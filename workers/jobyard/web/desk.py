"""What the API asks of the broker, each as one blocking piece of work that is done in the backroom."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from jobyard.broker import JobyardBroker
from jobyard.broker.dead_letters import DeadFilter
from jobyard.broker.inspector import Job, QueueStats
from jobyard.broker.states import State
from jobyard.broker.workers import WorkerInfo, list_workers
from jobyard.presentation import STATUS
from jobyard.web.backroom import Backroom
from jobyard.web.problems import Kind, Problem

Answer = TypeVar("Answer")

#: Dead letters that one request looks at, at most, when it searches for some.
_MOST_SEARCHED: Final = 5000
_SEARCHED_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, and where the next ones are; None: there are no more."""

    jobs: list[Job]
    next_cursor: str | None


class Desk:
    """Questions and orders to one broker."""

    def __init__(self, broker: JobyardBroker, backroom: Backroom) -> None:
        self.broker = broker
        self._backroom = backroom

    async def ask(self, question: Callable[[Desk], Answer]) -> Answer:
        """Do one piece of work in the backroom.

        Raises:
            Problem: Redis does not do what it is asked, or the question raised it.
        """
        return await self._backroom.call(lambda: question(self))

    # Everything below blocks --------------------------------------------------------------------------------------

    def queue_names(self, queue: str | None = None) -> list[str]:
        """All queues, or the one that is named.

        Raises:
            Problem: there is no such queue.
        """
        names = self.broker.inspector.queues()
        if queue is None:
            return names
        if queue not in names:
            raise Problem(Kind.UNKNOWN_QUEUE, f"No queue is called {queue[:200]!r}; `GET /api/queues` lists them.")
        return [queue]

    def all_stats(self) -> list[QueueStats]:
        """The ledgers of all queues."""
        return [self.broker.inspector.stats(name) for name in self.queue_names()]

    def stats(self, queue: str) -> QueueStats:
        """The ledger of one queue."""
        return self.broker.inspector.stats(self.queue_names(queue)[0])

    def workers(self) -> list[WorkerInfo]:
        """The worker processes that are there."""
        return list_workers(self.broker)

    def now(self) -> int:
        """The time of Redis, in milliseconds since 1970."""
        seconds, microseconds = self.broker.link.command(b"TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    def job(self, job_id: str, queue: str | None = None) -> Job:
        """One job. In a list of queues that know the id, the first counts.

        Raises:
            Problem: there is none.
        """
        for name in self.queue_names(queue):
            job = self.broker.inspector.job(job_id, queue=name)
            if job is not None:
                return job
        raise Problem(
            Kind.UNKNOWN_JOB, f"No job has the id {job_id[:300]!r}, or it ended so long ago that it is no longer kept."
        )

    def search_dead(self, queue: str | None, which: DeadFilter, cursor: str | None, limit: int) -> Page:
        """Dead letters that fit, the newest first. Looks at so many at most; the cursor leads on from there."""
        found: list[Job] = []
        looked_at = 0
        inspector = self.broker.inspector
        for name, state, start in _from([(name, "dead") for name in self.queue_names(queue)], cursor):
            ledger = inspector.stats(name)
            for offset in range(start, ledger.dead, _SEARCHED_AT_ONCE):
                if looked_at >= _MOST_SEARCHED:
                    return Page(found, _cursor(name, state, offset))
                some = inspector.jobs(name, state, offset=offset, limit=_SEARCHED_AT_ONCE)
                looked_at += len(some)
                for number, job in enumerate(some):
                    if which.fits(job, ledger.now):
                        if len(found) == limit:
                            return Page(found, _cursor(name, state, offset + number))
                        found.append(job)
        return Page(found, None)

    def retry(self, job_id: str, queue: str | None) -> Job:
        """Make a dead letter wait again. Returns it as it is now.

        Raises:
            Problem: there is no such job, or it is no dead letter.
        """
        job = self.job(job_id, queue)
        if self.broker.dead_letters.retry(job.queue, [job_id]):
            return self.job(job_id, job.queue)
        raise wrong_state(self.job(job_id, job.queue).state, "retried", "Only dead letters are.")

    def cancel(self, job_id: str, queue: str | None) -> Job:
        """Cancel a job that has not ended. Returns it as it is now.

        Raises:
            Problem: there is no such job, or it has ended.
        """
        job = self.job(job_id, queue)
        before = self.broker.cancel(job_id, queue=job.queue)
        after = self.job(job_id, job.queue)
        if before not in ("waiting", "parked", "delayed", "active"):
            raise wrong_state(after.state, "cancelled", "It has ended.")
        return after


def wrong_state(state: State, done: str, reason: str) -> Problem:
    """The answer for a job that can't be `done` in its state."""
    status = STATUS[state]
    return Problem(Kind.WRONG_STATE, f"The job is {status} and can't be {done}. {reason}", job_status=status)


def _cursor(queue: str, state: State, offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([queue, state, offset]).encode()).decode().rstrip("=")


def _from(places: Sequence[tuple[str, State]], cursor: str | None) -> Iterator[tuple[str, State, int]]:
    """The places from the one that the cursor names, with the offset at which to begin.

    Raises:
        Problem: the cursor was not given out by us, or not for this list.
    """
    first, offset = 0, 0
    if cursor is not None:
        try:
            queue, state, offset = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            first = list(places).index((queue, state))
            if not isinstance(offset, int) or not 0 <= offset < 2**53:
                raise ValueError(offset)
        except (ValueError, TypeError, RecursionError):
            raise Problem(
                Kind.INVALID_REQUEST,
                "cursor: take `next_cursor` of the page before, with the same queue and status",
                errors=[{"path": "cursor", "message": "was not given out for this list"}],
            ) from None
    for number, (queue, state) in enumerate(places[first:]):
        yield queue, state, offset if number == 0 else 0
