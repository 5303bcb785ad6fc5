"""Searching jobs: over the states and queues that a filter means, page by page, with bounded work a call.

But for tags nothing is indexed for it, so that it costs jobs nothing; who looks for one in a million has to ask often. Where a
walk is, is said by the last job that it saw. A job that stays in its state during the whole walk is seen once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from jobyard.broker.filters import JobFilter
from jobyard.broker.scripts import script
from jobyard.broker.states import ENDED, PLACES, STATES, State
from jobyard.errors import JobyardError

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker
    from jobyard.broker.inspector import Job

#: One call of `search` looks at so many jobs at most, and asks Redis at most so many times.
MOST_SEARCHED: Final = 5_000
MOST_CALLS: Final = 200
LARGEST_PAGE: Final = 1_000

#: Jobs in one call of the script.
_AT_ONCE: Final = 250
_score: Final = re.compile(rb"-?\d+(\.\d+)?(e[+-]?\d+)?")

#: In what order `scan.lua` tells how many jobs there are.
_SIZES: Final[tuple[State, ...]] = ("waiting", "delayed", "parked", "active", "dead", "completed", "cancelled")


class CursorError(JobyardError, ValueError):
    """A cursor was not given out for this search."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the jobs that a search is for.

    Attributes:
        jobs: may be fewer than asked for, or none, also where there are more.
        cursor: where to go on; None: there are no more.
        searched: how many jobs were looked at.
    """

    jobs: list[Job]
    cursor: str | None
    searched: int


class Place(NamedTuple):
    """The jobs of one state in one queue."""

    state: State
    queue: str


class Spot(NamedTuple):
    """Where in a place a walk is: score and member of the last job that it saw. As Redis has them."""

    score: bytes
    member: bytes


class Found(NamedTuple):
    """A job that was seen, with what is needed to decide whether it fits; `at` is where it lies."""

    job: Job
    at: Spot


class Glance(NamedTuple):
    """What one call of the script has seen."""

    found: list[Found]
    more: bool
    sizes: dict[State, int]
    now: int


class Search:
    """Walks over jobs. Not for applications: see `Inspector.search` and `Bulk`."""

    def __init__(self, broker: JobyardBroker) -> None:
        self._broker = broker

    def page(self, which: JobFilter, cursor: str | None = None, limit: int = 100) -> Page:
        """See `Inspector.search`."""
        if not 1 <= limit <= LARGEST_PAGE:
            raise ValueError(f"limit: 1 to {LARGEST_PAGE}, not {limit}")
        fingerprint = _fingerprint(which)
        if which.tag is not None:
            return self._page_by_tag(which, which.tag, cursor, limit, fingerprint)
        places = self.places(which)
        spot: Spot | None = None
        if cursor is not None:
            start, spot = _read_cursor(cursor, fingerprint)
            if places and start in places:
                places = places[places.index(start) :]
            else:  # The queue is gone since. What comes after it is what is left.
                places = [place for place in places if _rank(place) > _rank(start)]
                spot = None
        jobs: dict[str, Job] = {}
        sizes: dict[str, dict[State, int]] = {}
        searched = calls = 0
        for place in places:
            if place.queue not in sizes and calls < MOST_CALLS:
                sizes[place.queue] = self.look(place, which, None, most=0).sizes
                calls += 1
            more = place.queue not in sizes or sizes[place.queue][place.state] > 0
            while more:
                if len(jobs) >= limit or searched >= MOST_SEARCHED or calls >= MOST_CALLS:
                    return Page(list(jobs.values()), _cursor(place, spot, fingerprint), searched)
                most = _AT_ONCE if which.looks_inside else limit - len(jobs)
                glance = self.look(place, which, spot, most=min(_AT_ONCE, most, MOST_SEARCHED - searched))
                more = glance.more
                wanted: list[str] = []
                for one in glance.found:
                    if len(jobs) + len(wanted) >= limit:
                        more = True  # At least this one.
                        break
                    searched, spot = searched + 1, one.at
                    if which.fits(one.job):
                        wanted.append(one.job.id)
                calls += 1 + bool(wanted)
                # All that is known of them, as they are now.
                for job in self._broker.inspector.jobs_by_id(place.queue, wanted):
                    if which.fits(job):
                        jobs[f"{job.queue} {job.id}"] = job
            spot = None
        return Page(list(jobs.values()), None, searched)

    def _page_by_tag(self, which: JobFilter, tag: str, cursor: str | None, limit: int, fingerprint: str) -> Page:
        """There is an index of tags, so that nothing else is looked at: one walk a queue, in the order of the ids."""
        start, after = "", None
        if cursor is not None:
            place, spot = _read_cursor(cursor, fingerprint)
            start, after = place.queue, spot and spot.member.decode(errors="replace")
        jobs: list[Job] = []
        searched = calls = 0
        for queue in self._queues(which):
            if queue < start:
                continue
            last = after if queue == start else None
            more = True
            while more:
                if len(jobs) >= limit or searched >= MOST_SEARCHED or calls >= MOST_CALLS:
                    spot = None if last is None else Spot(b"0", last.encode())
                    return Page(jobs, _cursor(Place(STATES[0], queue), spot, fingerprint), searched)
                ids, next_one = self._broker.inspector.ids_by_tag(
                    queue, tag, last, min(_AT_ONCE, MOST_SEARCHED - searched)
                )
                known = {job.id: job for job in self._broker.inspector.jobs_by_id(queue, ids)}
                calls, more = calls + 2, next_one is not None
                for job_id in ids:
                    if len(jobs) >= limit:
                        more = True  # At least this one.
                        break
                    searched, last = searched + 1, job_id
                    if job_id in known and which.fits(known[job_id]):
                        jobs.append(known[job_id])
        return Page(jobs, None, searched)

    def _queues(self, which: JobFilter) -> list[str]:
        return sorted(set(which.queues)) or self._broker.inspector.queues()

    def batches(
        self, which: JobFilter, states: Sequence[State], again: Sequence[State] = ()
    ) -> Iterator[tuple[Place, list[Job]]]:
        """All jobs in these states that fit, some of one place at a time, the oldest first (by tag: in the order of the ids). For
        acting on them: it ends, also where jobs come as fast as they are acted on, or come back as what they were.

        Args:
            states: in the order in which they are walked over.
            again: a second time, at the end: where jobs may have gone back to, behind the walk. Not needed by tag.
        """
        if which.tag is not None:
            for queue in self._queues(which):
                yield from self._tagged(queue, which, which.tag, states)
            return
        places = self.places(which, states)
        for place in [*places, *(place for place in places if place.state in again)]:
            for some in self._walk(place, which):
                yield place, some

    def _tagged(
        self, queue: str, which: JobFilter, tag: str, states: Sequence[State]
    ) -> Iterator[tuple[Place, list[Job]]]:
        last: str | None = None
        while True:
            ids, last = self._broker.inspector.ids_by_tag(queue, tag, last, _AT_ONCE)
            jobs = [job for job in self._broker.inspector.jobs_by_id(queue, ids) if which.fits(job)]
            for state in states:
                some = [job for job in jobs if job.state == state]
                if some:
                    yield Place(state, queue), some
            if last is None:
                return

    def places(self, which: JobFilter, states: Sequence[State] = STATES) -> list[Place]:
        """Where jobs that fit may be, in the order of `states` and then of the queues' names."""
        meant = [state for state in states if not which.states or state in which.states]
        if which.ended_after is not None or which.ended_before is not None:
            meant = [state for state in meant if state in ENDED]
        return [Place(state, queue) for state in meant for queue in self._queues(which)]

    def _walk(self, place: Place, which: JobFilter) -> Iterator[list[Job]]:
        """All jobs of one place that fit, the oldest first. What died after the beginning is left alone."""
        spot: Spot | None = None
        seen, most, stop = 0, 0, None
        while True:
            glance = self.look(place, which, spot, most=_AT_ONCE, oldest_first=True, stop=stop)
            if spot is None:
                stop = glance.now + 1 if place.state in ENDED else None
                most = 2 * glance.sizes[place.state] + 1_000
            if not glance.found:
                return
            seen, spot = seen + len(glance.found), glance.found[-1].at
            some = [one.job for one in glance.found if which.fits(one.job)]
            if some:
                yield some
            if not glance.more or seen >= most:
                return

    def look(
        self,
        place: Place,
        which: JobFilter,
        spot: Spot | None,
        *,
        most: int,
        oldest_first: bool = False,
        stop: int | None = None,
    ) -> Glance:
        """The next jobs of one place, whether they fit or not. `stop`: only those that ended before that time in ms."""
        from jobyard.broker.inspector import job_of

        name, newest_first = PLACES[place.state]
        low: int | bytes = b"-inf"
        high: int | bytes = b"+inf"
        if place.state in ENDED:
            low = b"-inf" if which.ended_after is None else which.ended_after
            ends = [one for one in (which.ended_before, stop) if one is not None]
            high = min(ends) if ends else b"+inf"
        wish = "error" if which.needs_error else "job" if which.looks_inside else ""
        backwards = "1" if newest_first and not oldest_first else ""
        reply = self._broker.link.call(
            script("scan"),
            self._broker.keys(place.queue).all,
            (name, backwards, *(spot or (b"", b"")), low, high, most, wish),
        )
        now, more, *rest = reply
        sizes = dict(zip(_SIZES, rest, strict=False))
        rows = rest[len(_SIZES) :]
        found = []
        for member, score, envelope, error in zip(rows[::4], rows[1::4], rows[2::4], rows[3::4], strict=True):
            row = (_id_in(member), place.state, score, envelope, b"", b"", error, b"", -1, b"")
            found.append(Found(job_of(place.queue, row, self._broker.protection), Spot(score, member)))
        return Glance(found, bool(more), sizes, now)


def _id_in(member: bytes) -> bytes:
    # A parked job's member is key NUL position NUL id.
    return member.rpartition(b"\0")[2]


def _rank(place: Place) -> tuple[int, str]:
    return STATES.index(place.state), place.queue


def _fingerprint(which: JobFilter) -> str:
    # So that a cursor is refused where it would silently mean something else.
    meant = [sorted(which.queues), sorted(which.states)]
    meant += [getattr(which, name) for name in which.__dataclass_fields__ if name not in ("queue", "states")]
    text = json.dumps(meant, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=6).hexdigest()


def _cursor(place: Place, spot: Spot | None, fingerprint: str) -> str:
    at = None if spot is None else [base64.b64encode(part).decode() for part in spot]
    text = json.dumps([fingerprint, *place, at], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, fingerprint: str) -> tuple[Place, Spot | None]:
    try:
        content: Any = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        given, state, queue, at = content
        if given == fingerprint and state in STATES and isinstance(queue, str):
            spot = None if at is None else Spot(*(base64.b64decode(part, validate=True) for part in at))
            if spot is None or _score.fullmatch(spot.score):
                return Place(cast(State, state), queue), spot
    except (ValueError, TypeError, RecursionError):
        pass
    raise CursorError(
        "the cursor was not given out for this search: take that of the page before, with the same filter"
    )
