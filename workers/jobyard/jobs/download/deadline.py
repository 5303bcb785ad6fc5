"""A deadline for a whole download, and sockets that keep it.

A socket's own time-out starts anew with every read, so a server that sends one byte every few seconds holds a worker
for hours. These sockets wait, in each read, no longer than what is left of the whole.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import Any


class Deadline:
    """A point in time, `seconds` from now."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._at = clock() + seconds

    def remaining(self) -> float:
        """Seconds that are left, more than 0.

        Raises:
            TimeoutError: none are.
        """
        left = self._at - self._clock()
        if left <= 0:
            raise TimeoutError(f"took longer than {self.seconds:g} s")
        return left

    @property
    def passed(self) -> bool:
        return self._clock() >= self._at


class DeadlineSocket(socket.socket):
    """A socket whose reads wait no longer than the deadline leaves."""

    deadline: Deadline | None = None

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        if self.deadline is not None:
            self.settimeout(self.deadline.remaining())
        return super().recv_into(buffer, nbytes, flags)


class DeadlineTLSSocket(ssl.SSLSocket):
    """The same over TLS. Made by an `SSLContext` whose `sslsocket_class` it is."""

    deadline: Deadline | None = None

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        if self.deadline is not None:
            self.settimeout(self.deadline.remaining())
        return super().recv_into(buffer, nbytes, flags)
