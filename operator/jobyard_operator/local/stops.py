"""Ctrl-C and its kin: counts the requests to stop, and wakes the main thread, which waits here between two looks."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType
from typing import Any, Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stops:
    """While it is open, these signals end nothing by themselves. For the main thread.

    Attributes:
        requests: how often somebody asked to stop: once: in order; twice: in a hurry.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._before: dict[signal.Signals, Any] = {}
        self._read, self._write = -1, -1

    def __enter__(self) -> Self:
        # A pipe, since a signal handler must not take a lock that the thread which it interrupts may hold.
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the next request. Returns whether there has been any."""
        if select.select([self._read], [], [], seconds)[0]:
            os.read(self._read, 100)
        return self.requests > 0

    def requested(self) -> bool:
        """Whether somebody has asked to stop."""
        return self.requests > 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requests += 1
        os.write(self._write, b"!")
