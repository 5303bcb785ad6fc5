"""One look at a queue: all that the operator decides by, read at one instant, with one call."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import tally_of
from jobyard.broker.scripts import script


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A queue at one instant. Times and ages in seconds, by Redis' clock.

    Attributes:
        now: since 1970.
        waiting: jobs that could start, also those that only wait for a rate or the queue's concurrency, and delayed ones that
            are due and that no worker has moved yet (there may be none).
        active: jobs whose worker's lease runs.
        orphaned: jobs whose lease has ended, and that nobody has taken up yet.
        parked: jobs that wait for a slot of their key, or for their dependency.
        delayed: jobs that are due later.
        due_soon: those of them that are due within the horizon.
        next_due: until the next delayed job is due; None: there is none.
        oldest: for how long the job that has waited longest has been ready: since it was enqueued, was due, or was revived. A
            job that went back to its old place after a run (it was recovered, or returned) counts from the start of that run,
            as nothing says when it came back. With strict priorities the first job of each priority is looked at (of the first
            16 that have any), with ageing the one that starts next. Where keys take turns, a job with a key counts from when
            it was created. 0: none waits.
        ended: how many runs have ended since the queue exists, in whatever way: completed, failed, put off, cancelled, recovered.
            Jobs that went back as if they had not run don't count.
        running: mean time since the start of the active jobs' runs, of up to 100 of them.
        dead: dead letters.
        counts: see `jobyard.broker.inspector.QueueStats`.
        held_by: worker token → how many jobs it has, active and orphaned, of the first 10,000.
        paused: the policy in Redis says so, whoever wrote it there.
        held: why the operator holds the queue; None: it doesn't.
        memory: what `remember` has written last; None: nothing yet.
        policy_digest: of the policy that `configure` has written last; None: none yet.
    """

    now: float
    waiting: int
    active: int
    orphaned: int
    parked: int
    delayed: int
    due_soon: int
    next_due: float | None
    oldest: float
    ended: int
    running: float
    dead: int
    counts: dict[str, int] = field(default_factory=dict)
    held_by: dict[str, int] = field(default_factory=dict)
    paused: bool = False
    held: str | None = None
    memory: bytes | None = None
    policy_digest: str | None = None

    @property
    def empty(self) -> bool:
        """Nothing is there but dead letters, and jobs that are due later."""
        return not (self.waiting or self.active or self.orphaned or self.parked)


def look(broker: JobyardBroker, queue: str, horizon: float) -> Look:
    """Look at a queue. Changes nothing; one that has never had a job is empty.

    Args:
        horizon: seconds, for `due_soon`.

    Raises:
        BrokerError: no answer.
        ValueError: that can't be a queue's name.
    """
    reply = broker.link.call(script("look"), broker.keys(queue).all, (max(0, round(horizon * 1000)),))
    now, waiting, active, orphaned, parked, delayed, due_soon, next_due, oldest, running, dead, *rest = reply
    paused, held, memory, digest, counts, workers = rest
    tally = tally_of(counts)
    started, returned = tally.get("started", 0), tally.get("returned", 0)
    return Look(
        now=now / 1000,
        waiting=waiting,
        active=active,
        orphaned=orphaned,
        parked=parked,
        delayed=delayed,
        due_soon=due_soon,
        next_due=(next_due - now) / 1000 if next_due else None,
        oldest=max(0, now - oldest) / 1000 if oldest else 0.0,
        ended=started - returned - active - orphaned,
        running=running / 1000,
        dead=dead,
        counts=tally,
        held_by={token.decode(): count for token, count in zip(workers[::2], workers[1::2], strict=True)},
        paused=paused == b"1",
        held=held.decode(errors="replace") or None,
        memory=memory or None,
        policy_digest=digest.decode() or None,
    )
