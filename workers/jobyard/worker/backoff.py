"""When a process that died may be started again: at once the first time, then later and later. Time comes in as an argument."""

from __future__ import annotations

from typing import Final

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
#: A process that lived for so many seconds was well: the next crash is a first one again.
WELL_AFTER: Final = 60.0


class Backoff:
    """Pauses of 0, 0.5, 1, 2, 4 … 30 seconds between the crashes and the next start."""

    def __init__(self) -> None:
        self._crashes = 0
        self._until = 0.0

    @property
    def crashes(self) -> int:
        """How often in a row processes of this place have died."""
        return self._crashes

    def crashed(self, now: float, lived: float) -> float:
        """A process died after `lived` seconds. Returns the pause in seconds until one may be started."""
        self._crashes = 1 if lived >= WELL_AFTER else self._crashes + 1
        exponent = min(self._crashes - 2, 16)
        pause = 0.0 if self._crashes == 1 else min(LONGEST_PAUSE, FIRST_PAUSE * 2**exponent)
        self._until = max(self._until, now + pause)
        return pause

    def wait(self, now: float) -> float:
        """Seconds until a process may be started; 0: now."""
        return max(0.0, self._until - now)
