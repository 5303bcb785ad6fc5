"""What is done with all jobs that fit a filter: cancel, try again, discard. Page by page, so that no call takes long.

Others may do the same, or anything else, meanwhile: each job is acted on once, by whoever comes first, and each counts only what
it has changed itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from jobyard.broker.filters import JobFilter
from jobyard.broker.inspector import Job
from jobyard.broker.scripts import script
from jobyard.broker.search import Place, Search
from jobyard.broker.states import PLACES, State

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

#: What each action is for, in the order in which jobs move, so that one that goes on meanwhile is met all the same. (Parked
#: ones first: when one that waits goes away, one that is parked for the same key takes its place.)
CANCELLABLE: Final[tuple[State, ...]] = ("parked", "delayed", "waiting", "active")
RETRYABLE: Final[tuple[State, ...]] = ("dead",)
DISCARDABLE: Final[tuple[State, ...]] = ("dead", "parked", "delayed", "waiting")
#: Where jobs may have gone back to, behind the walk: a look there again finds nothing, or those.
_AGAIN: Final[tuple[State, ...]] = ("parked", "delayed", "waiting")

#: So many ids are shown of those that were acted on.
SAMPLE: Final = 10


@dataclass(slots=True)
class Outcome:
    """What a bulk action did, or has done so far, or (in a dry run) would do.

    Attributes:
        matched: how many jobs fitted.
        changed: how many of them it changed: cancelled (a running one: asked to stop), made to wait again, or discarded. Others
            had gone on, or somebody else was first. 0 in a dry run.
        sample: ids of the first ones that fitted.
        by_queue: the number of changed ones (in a dry run: of those that fitted) in each queue that has any.
    """

    matched: int = 0
    changed: int = 0
    sample: list[str] = field(default_factory=list)
    by_queue: dict[str, int] = field(default_factory=dict)


#: Told after each page what was done so far. What it raises ends the action; what was done stays done.
Progress = Callable[[Outcome], None]

#: Acts on some jobs of one place; `before`: so many were acted on already. Returns how many it changed.
_Act = Callable[[Place, Sequence[Job], int], int]


class Bulk:
    """Actions on all jobs that fit a filter.

    Each takes `dry_run`: only say what would be done; `limit`: act on so many at most, the oldest first (by tag: in the order of
    the ids); `progress`: called with the outcome so far, for actions that take long.
    """

    def __init__(self, broker: JobyardBroker) -> None:
        self._broker = broker
        self._search = Search(broker)

    def cancel(
        self, which: JobFilter, *, dry_run: bool = False, limit: int | None = None, progress: Progress | None = None
    ) -> Outcome:
        """Cancel jobs that have not ended: at once where they wait; running ones are asked to stop.

        Raises:
            ValueError: the filter names only states in which a job can't be cancelled.
            BrokerError: Redis could not be asked; some jobs may be cancelled already. Doing it again is safe.
        """
        return self._act(which, CANCELLABLE, "cancelled", self._cancel, dry_run, limit, progress)

    def retry(
        self,
        which: JobFilter,
        *,
        rate: float | None = None,
        dry_run: bool = False,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> Outcome:
        """Try dead letters again, with all their attempts before them.

        Those that die again meanwhile are left alone.

        Args:
            rate: so many a second at most, over all queues; the later ones are delayed in Redis. None: all at once.

        Raises:
            ValueError: the filter names states, but not `dead`; or the rate is not more than 0.
            BrokerError: as `cancel`.
        """
        if rate is not None and not rate > 0:
            raise ValueError(f"rate is in jobs a second and must be more than 0, not {rate}")

        def revive(place: Place, found: Sequence[Job], before: int) -> int:
            return self._broker.dead_letters.retry(place.queue, _ids(found), rate=rate, after=before)

        return self._act(which, RETRYABLE, "retried", revive, dry_run, limit, progress)

    def discard(
        self, which: JobFilter, *, dry_run: bool = False, limit: int | None = None, progress: Progress | None = None
    ) -> Outcome:
        """Forget dead letters; where the filter names these states, also jobs that are delayed, waiting or parked.

        Raises:
            ValueError: the filter names only states whose jobs can't be discarded. Running ones can be cancelled; completed and
                cancelled ones go by themselves, see `QueuePolicy`.
            BrokerError: as `cancel`.
        """
        states = DISCARDABLE if which.states else ("dead",)
        return self._act(which, states, "discarded", self._discard, dry_run, limit, progress)

    def _act(
        self,
        which: JobFilter,
        states: tuple[State, ...],
        done: str,
        act: _Act,
        dry_run: bool,
        limit: int | None,
        progress: Progress | None,
    ) -> Outcome:
        if limit is not None and limit < 1:
            raise ValueError(f"limit: 1 or more jobs, not {limit}")
        if which.states and not set(which.states) & set(states):
            raise ValueError(f"{' and '.join(which.states)} jobs can't be {done}; {', '.join(states)} ones can")
        outcome = Outcome()
        for place, found in self._search.batches(which, states, () if dry_run else _AGAIN):
            some = found if limit is None else found[: limit - outcome.matched]
            before, outcome.matched = outcome.matched, outcome.matched + len(some)
            outcome.sample += _ids(some)[: SAMPLE - len(outcome.sample)]
            changed = 0 if dry_run else act(place, some, before)
            outcome.changed += changed
            counted = len(some) if dry_run else changed
            if counted:
                outcome.by_queue[place.queue] = outcome.by_queue.get(place.queue, 0) + counted
            if progress is not None:
                progress(outcome)
            if outcome.matched == limit:
                return outcome
        return outcome

    def _cancel(self, place: Place, found: Sequence[Job], before: int) -> int:
        ids = _ids(found)
        asked: set[str] = set()
        if place.state == "active":
            # Those that somebody has asked to stop already are asked again, which does no harm, but are not ours.
            asked = {job.id for job in self._broker.inspector.jobs_by_id(place.queue, ids) if job.cancelling}
        states = self._broker.cancel_many(place.queue, ids)
        return sum(state in CANCELLABLE and job_id not in asked for job_id, state in states.items())

    def _discard(self, place: Place, found: Sequence[Job], before: int) -> int:
        name, _ = PLACES[place.state]
        changed: int = self._broker.link.call(
            script("discard"), self._broker.keys(place.queue).all, (name, *_ids(found))
        )
        self._broker.tell_batches(place.queue)
        return changed


def _ids(found: Sequence[Job]) -> list[str]:
    return [job.id for job in found]
