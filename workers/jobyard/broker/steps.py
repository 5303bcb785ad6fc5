"""Which jobs come before a step of a pipeline, for pipelines that this process has started.

A step doesn't exist in Redis before the one before it has completed, and Dramatiq waits for the last one only. Whoever waits
for a step that never comes, since one before it has failed, learns that by looking at those.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

from dramatiq import Message

#: So many steps are remembered, the newest ones.
_MOST: Final = 10_000


class Steps:
    """Thread-safe."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[tuple[str, str], ...]] = {}
        self._mutex = threading.Lock()

    def note(self, first: Message[Any]) -> None:
        """A job was enqueued that is perhaps the first step of a pipeline."""
        target = first.options.get("pipe_target")
        passed: tuple[tuple[str, str], ...] = ((first.message_id, first.queue_name),)
        while isinstance(target, dict):
            with self._mutex:
                self._before[target["message_id"]] = passed
                if len(self._before) > _MOST:
                    del self._before[next(iter(self._before))]
            passed = (*passed, (target["message_id"], target["queue_name"]))
            target = target["options"].get("pipe_target")

    def before(self, job_id: str) -> Sequence[tuple[str, str]]:
        """The id and queue of each step before this one, the first one first; none: nothing is known of it."""
        return self._before.get(job_id, ())
