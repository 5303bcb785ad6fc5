"""How long a worker that lacks a key puts off the jobs that need it: another worker may have it, or it is on its way here."""

from __future__ import annotations

import threading
from typing import Final

#: Names of keys that are remembered. They come from Redis, so they may be anything.
_MOST: Final = 1_000


class MissingKeys:
    """Thread-safe.

    Args:
        patience: seconds since a key was first missed here for which its jobs are put off.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._first: dict[str, float] = {}

    def may_wait(self, key: str, now: float) -> bool:
        """Whether a job that needs this key may wait for it. `now` is monotonic."""
        with self._lock:
            if len(self._first) >= _MOST and key not in self._first:
                self._first.clear()
            waited = now - self._first.setdefault(key, now)
            if waited > 2 * self._patience:
                # It was here in between, most likely, and is missing again.
                self._first[key] = now
                return True
            return waited < self._patience
