"""Keeps connections to the mail server open between jobs, for all threads of a process."""

from __future__ import annotations

import os
import smtplib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from jobyard.jobs.email.connection import hang_up
from jobyard.jobs.email.errors import MailServerError

# Seconds; a connection that was used a moment ago is taken to be alive. If it isn't, the caller finds out and may take
# a fresh one, since nothing was sent.
_CHECK_AFTER: Final = 1.0
_CHECK_PATIENCE: Final = 5.0


@dataclass(slots=True, eq=False)
class PooledConnection:
    """A connection, and what the pool knows about it.

    Attributes:
        smtp: the connection.
        reused: whether it served a job before; the server may have closed it in the meantime.
    """

    smtp: smtplib.SMTP
    reused: bool = False
    idle_since: float = 0.0
    owner: int = field(default_factory=os.getpid)


class ConnectionPool:
    """At most `size` connections, the last used first. Those that nobody needs are closed after `idle` seconds.

    Safe to use from many threads. After a fork the child starts empty: two processes must not talk over one connection.

    Args:
        connect: opens a connection.
        size: how many there may be.
        idle: seconds after which an unused connection is closed.
        wait: seconds to wait for a connection when all are in use.
    """

    def __init__(self, connect: Callable[[], smtplib.SMTP], *, size: int, idle: float, wait: float) -> None:
        self._connect = connect
        self._size = size
        self._idle_time = idle
        self._wait = wait
        self._idle: list[PooledConnection] = []
        self._closed = False
        self._start_empty()
        _pools.add(self)

    def _start_empty(self) -> None:
        self._open = 0
        self._reaper: threading.Thread | None = None
        lock = threading.Lock()
        self._freed = threading.Condition(lock)
        self._closing = threading.Condition(lock)

    @contextmanager
    def connection(self, *, fresh: bool = False) -> Iterator[PooledConnection]:
        """A connection for the block. If the block raises, or has closed it, it is not used again.

        Args:
            fresh: a newly opened one.

        Raises:
            MailServerError: all are in use and none became free, or a new one can't be opened.
            MailDeferredError, MailRefusedError, MailSecurityError, MailConfigError: a new one can't be opened.
        """
        connection = self._take(fresh)
        well = False
        try:
            yield connection
            well = connection.smtp.sock is not None
        finally:
            self._give_back(connection, well)

    def close(self) -> None:
        """Close the connections; those in use, when they are given back."""
        with self._freed:
            self._closed = True
            unused, self._idle = self._idle, []
            self._open -= len(unused)
            self._closing.notify_all()
        for connection in unused:
            hang_up(connection.smtp)

    def _take(self, fresh: bool) -> PooledConnection:
        connection, surplus = self._reserve(fresh)
        try:
            if surplus is not None:
                hang_up(surplus.smtp)
            if connection is not None:
                if _is_alive(connection):
                    return connection
                connection.smtp.close()
            return PooledConnection(self._connect())
        except BaseException:
            self._release_slot()
            raise

    def _reserve(self, fresh: bool) -> tuple[PooledConnection | None, PooledConnection | None]:
        """A slot: with an unused connection in it, or empty. Second, an unused one whose slot was taken."""
        deadline = time.monotonic() + self._wait
        with self._freed:
            while True:
                if self._idle and not fresh:
                    return self._idle.pop(), None
                if self._open < self._size:
                    self._open += 1
                    return None, None
                if self._idle:
                    return None, self._idle.pop(0)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise MailServerError(
                        f"all {self._size} connections to the mail server were in use for {self._wait:g} s; "
                        "raise JOBYARD_SMTP_POOL_SIZE"
                    )
                self._freed.wait(left)

    def _give_back(self, connection: PooledConnection, well: bool) -> None:
        if connection.owner != os.getpid():
            # The block forked. The connection is the parent's, and this process never counted it.
            connection.smtp.close()
            return
        with self._freed:
            if well and not self._closed:
                connection.reused = True
                connection.idle_since = time.monotonic()
                self._idle.append(connection)
                self._freed.notify()
                if self._reaper is None:
                    self._reaper = threading.Thread(target=self._reap, name="jobyard-smtp-reaper", daemon=True)
                    self._reaper.start()
                return
        try:
            if well:
                hang_up(connection.smtp)
            else:
                connection.smtp.close()
        finally:
            self._release_slot()

    def _release_slot(self) -> None:
        with self._freed:
            self._open -= 1
            self._freed.notify()

    def _reap(self) -> None:
        """Close what has been idle for too long; end when nothing is idle."""
        while True:
            with self._freed:
                if not self._idle:
                    self._reaper = None
                    return
                # The first was used longest ago, since the last is taken first.
                left = self._idle[0].idle_since + self._idle_time - time.monotonic()
                if left > 0:
                    self._closing.wait(left)
                    continue
                expired = self._idle.pop(0)
                self._open -= 1
                self._freed.notify()
            hang_up(expired.smtp)

    def _forget_parent(self) -> None:
        """In a child after a fork: leave the parent's connections, locks and thread alone."""
        idle, self._idle = self._idle, []
        self._start_empty()
        for connection in idle:
            # Only closes this process's descriptor: nothing is sent.
            connection.smtp.close()


def _is_alive(connection: PooledConnection) -> bool:
    if time.monotonic() - connection.idle_since < _CHECK_AFTER:
        return True
    smtp = connection.smtp
    try:
        if smtp.sock is None:
            return False
        patience = smtp.sock.gettimeout()
        smtp.sock.settimeout(min(_CHECK_PATIENCE, patience or _CHECK_PATIENCE))
        code, _ = smtp.rset()
        smtp.sock.settimeout(patience)
    except (OSError, smtplib.SMTPException):
        return False
    return code == 250


_pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool._forget_parent()


os.register_at_fork(after_in_child=_after_fork)
