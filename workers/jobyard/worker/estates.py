"""Jobs of dead children that somebody has to see to. The supervisor never talks to Redis; a child that is alive does it.

Whoever is ready gets the next estate: a sibling at once, or the successor when it is there. If neither is to be had (the
worker stops, or its processes die as soon as they start), the supervisor starts an undertaker, a child that does nothing else.
The lease is behind all that: when it ends, any worker anywhere takes the jobs over.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobyard.broker.dispatcher import LEASE
from jobyard.worker.handle import Handle
from jobyard.worker.messages import Revoke

#: Seconds until it is tried again after it did not work.
_RETRY: Final = 1.0

_logger = logging.getLogger("jobyard.worker")


@dataclass(slots=True)
class _Estate:
    will: Revoke
    name: str
    died_at: float
    due: float
    executor: Handle | None = None


class Estates:
    """All that are open."""

    def __init__(self) -> None:
        self._open: dict[str, _Estate] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, dead: Handle, now: float) -> None:
        """A child is dead."""
        self._open[dead.token] = _Estate(dead.estate(), dead.name(), now, now)

    def give(self, executors: Sequence[Handle], now: float) -> None:
        """Have children that are ready see to what nobody sees to, in turn; and forget what the leases have seen to."""
        for token, estate in list(self._open.items()):
            if now - estate.died_at > LEASE:
                _logger.warning(
                    "Nobody could hand back the jobs of %s; their leases have ended, and any worker takes them over.",
                    estate.name,
                )
                del self._open[token]
            elif estate.executor is None and executors and now >= estate.due:
                estate.executor = executors[len(self._open) % len(executors)]
                estate.executor.send(estate.will)

    def settled(self, token: str, back: int, completed: int) -> int:
        """It is done. Returns how many jobs went back or were completed."""
        estate = self._open.pop(token, None)
        if estate is None:
            return 0
        if back or completed:
            _logger.warning(
                "Jobs of %s: %d went back to their queues, %d had been completed.", estate.name, back, completed
            )
        return back + completed

    def failed(self, token: str, reason: str, now: float) -> None:
        """It did not work, for now."""
        estate = self._open.get(token)
        if estate is not None:
            _logger.warning("Could not hand back the jobs of %s: %s. Trying again.", estate.name, reason)
            estate.executor, estate.due = None, now + _RETRY

    def left_by(self, executor: Handle) -> None:
        """An executor is dead itself: somebody else must see to what it had."""
        for estate in self._open.values():
            if estate.executor is executor:
                estate.executor = None
