"""How many jobs a worker process should hold. Pure: the time comes in as an argument.

The measure is time, not a count: about 20 ms of work. Short jobs come in large batches, since a round trip costs as much as
many of them; long jobs come one by one, so that none waits behind another while a worker idles.

What counts is how many jobs the process really finishes in a second. The duration of a single job would mislead: threads
wait for each other, and a job that takes microseconds may seem to take many milliseconds.
"""

from __future__ import annotations

from typing import Final

#: Seconds of work that a process may have before it.
BUDGET: Final = 0.02
#: Seconds over which the rate is taken.
WINDOW: Final = 0.02
#: No more than this many jobs, however fast they are.
LARGEST: Final = 1000


class Appetite:
    """How fast this process is, and what follows from it.

    Until something is known, jobs are taken one by one. The rate follows within a window or two, up and down.

    Args:
        slots: how many jobs the process can run at the same time.
    """

    __slots__ = ("_count", "_rate", "_since", "slots")

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._rate = 0.0  # jobs a second
        self._since = 0.0
        self._count = 0

    def begin(self, now: float) -> None:
        """There are jobs again: the time before, in which there were none, says nothing."""
        self._since = now
        self._count = 0

    def finished(self) -> None:
        """A job ended. (From several threads; a count that is missed now and then does no harm.)"""
        self._count += 1

    def capacity(self, now: float) -> int:
        """How many jobs the process may hold, running ones included."""
        elapsed = now - self._since
        if elapsed >= WINDOW:
            self._rate = self._count / elapsed
            self.begin(now)
        return max(self.slots, min(LARGEST, int(self._rate * BUDGET)))

    def want(self, held: int, now: float) -> int:
        """How many more to fetch while `held` are here."""
        return max(0, self.capacity(now) - held)
