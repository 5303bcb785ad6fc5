"""What can be done with dead letters: try them again (some, all, slowly, with other arguments) or discard them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dramatiq import Message

from jobyard.broker.delivery import LONGEST_DELAY
from jobyard.broker.envelope import UNREADABLE, seal
from jobyard.broker.inspector import Job
from jobyard.broker.paging import pages
from jobyard.broker.scripts import script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

_PAGE = 500


@dataclass(frozen=True, slots=True)
class DeadFilter:
    """Which dead letters are meant. All that is given must fit; nothing given: all.

    Attributes:
        actor: name of the actor.
        error: name of the last error's type, or a part of its message.
        older_than: died at least so many milliseconds ago.
        limit: no more than so many, the oldest first.
    """

    actor: str | None = None
    error: str | None = None
    older_than: int | None = None
    limit: int | None = None

    def fits(self, job: Job, now: int) -> bool:
        if self.actor is not None and job.actor != self.actor:
            return False
        if self.older_than is not None and (job.ended_at or now) > now - self.older_than:
            return False
        if self.error is not None:
            last = job.last_error
            return self.error == last.get("error") or self.error in str(last.get("message", ""))
        return True


class DeadLetters:
    """The dead letters of a broker's queues."""

    def __init__(self, broker: JobyardBroker) -> None:
        self._broker = broker

    def select(self, queue: str, which: DeadFilter | None = None) -> Iterator[Job]:
        """The dead letters that fit, the oldest first. Read in pages: may be many."""
        which = which or DeadFilter()
        inspector = self._broker.inspector
        now = inspector.stats(queue).now
        key = self._broker.keys(queue)["dead"]
        # All ids at once, since pages shift when somebody takes letters away meanwhile; ids are small.
        ids = [one.decode() for one in self._broker.link.command(b"ZRANGE", key, 0, -1, key=key)]
        found = 0
        for some in pages(ids, _PAGE):
            for job in inspector.jobs_by_id(queue, some):
                if job.state == "dead" and which.fits(job, now):
                    if which.limit is not None and found >= which.limit:
                        return
                    found += 1
                    yield job

    def retry(self, queue: str, ids: Sequence[str], *, rate: float | None = None, after: int = 0) -> int:
        """Try some again.

        Args:
            rate: so many a second at most; the later ones are delayed. None: all at once.
            after: so many others come first at that rate.

        Returns:
            How many of them were dead letters.
        """
        if rate is not None and rate <= 0:
            raise ValueError(f"rate is in jobs a second and must be more than 0, not {rate}")
        revived = 0
        keys = self._broker.keys(queue).all
        for page, some in enumerate(pages(ids, _PAGE)):
            arguments: list[str | int | bytes] = []
            for number, job_id in enumerate(some, after + page * _PAGE):
                delay = 0 if rate is None else int(min(number * 1000 / rate, LONGEST_DELAY))
                arguments += (job_id, delay, b"")
            revived += self._broker.link.call(script("revive"), keys, arguments)
        self._broker.tell_batches(queue)
        return revived

    def retry_all(self, queue: str, which: DeadFilter | None = None, *, rate: float | None = None) -> int:
        """Try all that fit again. Returns how many."""
        return self.retry(queue, [job.id for job in self.select(queue, which)], rate=rate)

    def edit_and_retry(
        self, queue: str, job_id: str, edit: Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, dict[str, Any]]]
    ) -> bool:
        """Change the arguments of one dead letter and try it again.

        Args:
            edit: takes args and kwargs, returns the new ones.

        Returns:
            False: it is no dead letter (any more).

        Raises:
            ValueError: its envelope can't be read, so that there is nothing to edit.
            TypeError, ValueError: the new arguments can't be encoded.
        """
        job = self._broker.inspector.job(job_id, queue=queue)
        if job is None or job.state != "dead":
            return False
        if job.actor == UNREADABLE:
            raise ValueError(f"job {job_id!r} can't be read by this process, so its arguments can't be edited")
        if job.problem is not None:
            # Whoever edits it vouches for all of it, with the key of this process.
            raise ValueError(f"job {job_id!r} can't be edited: {job.problem}")
        args, kwargs = edit(job.args, dict(job.kwargs))
        message: Message[Any] = Message(queue, job.actor, tuple(args), kwargs, job.options, job_id, job.created_at or 0)
        envelope = seal(message, job.priority, self._broker.protection)
        revived = self._broker.link.call(script("revive"), self._broker.keys(queue).all, (job_id, 0, envelope))
        self._broker.tell_batches(queue)
        return bool(revived)

    def discard(self, queue: str, ids: Sequence[str]) -> int:
        """Forget some. Returns how many of them were dead letters."""
        keys = self._broker.keys(queue).all
        gone: int = sum(self._broker.link.call(script("discard"), keys, ("dead", *some)) for some in pages(ids, _PAGE))
        self._broker.tell_batches(queue)
        return gone

    def discard_all(self, queue: str, which: DeadFilter | None = None) -> int:
        """Forget all that fit. Returns how many."""
        return self.discard(queue, [job.id for job in self.select(queue, which)])
