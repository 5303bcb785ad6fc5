"""Waiting until queues are empty, for `jobyard queue drain`. Asks twice a second; starts and stops nothing by itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Final

from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import QueueStats
from jobyard.broker.workers import list_workers
from jobyard.cli.connection import say
from jobyard.cli.facts import state_of
from jobyard.cli.statuses import Status

_PAUSE: Final = 0.5
#: Seconds between two lines that tell how far it is: at a terminal, and in a log.
_NEWS: Final = (2.0, 30.0)


class Drain:
    """Waits for some queues.

    Args:
        delayed: until none is delayed either.
        pause_after: a queue that is drained is paused, at once.
    """

    def __init__(
        self, broker: JobyardBroker, names: Sequence[str], *, delayed: bool = False, pause_after: bool = False
    ) -> None:
        self._broker = broker
        self._names = list(dict.fromkeys(names))
        self._delayed = delayed
        self._pause_after = pause_after
        self._paused: set[str] = set()
        #: As they were when they were looked at last.
        self.ledgers: list[QueueStats] = []

    def wait(self, seconds: float | None, *, show: bool = False) -> tuple[str, Status] | None:
        """Wait, for so long at most.

        Args:
            show: tell on standard error how far it is.

        Returns:
            None: they are drained. Otherwise why not, and the exit status for it.
        """
        started = told = time.monotonic()
        self._warn(show)
        while True:
            self.ledgers = [self._broker.inspector.stats(name) for name in self._names]
            busy = [one for one in self.ledgers if not self._is_drained(one)]
            for one in busy:
                if (state := state_of(one)) != "running" and not one.active:
                    return (
                        f"queue {one.queue!r} is {state}, so what waits in it never starts: {self._rest(one)}",
                        Status.NO,
                    )
            if not busy:
                return None
            now = time.monotonic()
            if seconds is not None and now - started >= seconds:
                return (
                    f"not drained in time: {'; '.join(f'{one.queue} has {self._rest(one)}' for one in busy)}",
                    Status.TIMEOUT,
                )
            if show and now - told >= _NEWS[not sys.stderr.isatty()]:
                told = now
                say("; ".join(f"{one.queue}: {self._rest(one)}" for one in busy))
            left = _PAUSE if seconds is None else min(_PAUSE, seconds - (now - started))
            time.sleep(max(0.0, left))

    def _is_drained(self, one: QueueStats) -> bool:
        left = one.active + (0 if one.queue in self._paused else self._waiting(one))
        if left or not self._pause_after or one.queue in self._paused:
            return not left
        # A job may have started between the look and this: it is waited for. What comes from now on stays.
        self._broker.pause(one.queue)
        self._paused.add(one.queue)
        return False

    def _waiting(self, one: QueueStats) -> int:
        return one.waiting + one.parked + (one.delayed if self._delayed else 0)

    def _rest(self, one: QueueStats) -> str:
        words = [f"{one.waiting:,} waiting", f"{one.active:,} active"]
        words += [f"{one.parked:,} parked"] if one.parked else []
        words += [f"{one.delayed:,} delayed"] if one.delayed and self._delayed else []
        return ", ".join(words)

    def _warn(self, show: bool) -> None:
        served = {name for worker in list_workers(self._broker) if not worker.draining for name in worker.queues}
        for name in self._names:
            if show and name not in served:
                say(f"No worker is there yet that serves queue {name!r}.")
