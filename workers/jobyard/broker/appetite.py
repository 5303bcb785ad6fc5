"""How many jobs a worker process should hold. Pure.

The measure is time, not a count: about 20 ms of work for each thread. Short jobs come in large batches, since a round trip
costs as much as many of them; long jobs come one by one, so that none waits behind another while a worker idles.
"""

from __future__ import annotations

from typing import Final

#: Seconds of work that a thread may have before it.
BUDGET: Final = 0.02
#: No more than this a thread, however short the jobs.
LARGEST: Final = 500
#: How fast the mean follows: each job moves it by this part of the difference.
_WEIGHT: Final = 0.05


class Appetite:
    """The mean duration of the last jobs, and what follows from it.

    Args:
        slots: how many jobs the process can run at the same time.
    """

    __slots__ = ("_mean", "slots")

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._mean = 1.0  # Until something is known, jobs are taken one by one.

    def observe(self, seconds: float) -> None:
        """A job took so long."""
        if self._mean >= BUDGET > seconds:
            # The first short job after long ones says more than the mean of them.
            self._mean = BUDGET / 2
        elif seconds > self._mean * 10:
            # A job much longer than usual: become careful at once.
            self._mean = (self._mean + seconds) / 2
        else:
            self._mean += _WEIGHT * (seconds - self._mean)

    def capacity(self) -> int:
        """How many jobs the process may hold, running ones included."""
        return self.slots * max(1, min(LARGEST, int(BUDGET / max(self._mean, 1e-6))))

    def want(self, held: int) -> int:
        """How many more to fetch while `held` are here."""
        return max(0, self.capacity() - held)
