"""How an idle worker waits: blocked in Redis until there is something to do. It doesn't poll."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from redis.connection import AbstractConnection

from jobyard.broker.errors import BrokerError
from jobyard.broker.keys import QueueKeys
from jobyard.broker.link import Link
from jobyard.broker.scripts import pack
from jobyard.broker.server import Server

#: An idle worker looks again after so many seconds even when nobody calls it: a call can die with the one it called.
LONGEST: Final = 5.0


class Waiter:
    """Waits for one of the queues. One thread waits; others may interrupt it.

    Args:
        worker: the token of whoever waits.

    Attributes:
        aside: names of queues that may have jobs, but none for this worker: it waits only until it is called back.
    """

    def __init__(self, server: Server, queues: Sequence[QueueKeys], worker: str) -> None:
        self.aside: frozenset[str] = frozenset()
        self._wakes = {keys.name: keys["wake"] for keys in queues}
        self._recalls = {keys.name: keys.recall(worker) for keys in queues}
        self._node = queues[0]["wake"]  # all are on one node
        self._server = server
        self._link = Link(server, patience=0, on_connect=self._remember)
        self._control = Link(server, patience=0)  # used by the thread that waits, too
        self._client_id: int | None = None
        self._stopped = threading.Event()
        self._blocked = False
        self._called: bytes | None = None  # the key on which we were called and have perhaps not looked yet

    def wait(self, seconds: float | None) -> None:
        """Block until a queue calls, the time is over, or `stop`.

        Raises:
            BrokerError: no connection.
        """
        self._called = None
        self._blocked = True
        try:
            if not self._stopped.is_set():
                reply = self._wait(LONGEST if seconds is None else min(seconds, LONGEST))
                self._called = reply[0] if reply and reply[0] in self._wakes.values() else None
        finally:
            self._blocked = False
        if self._stopped.is_set():
            self._pass_on()

    def stop(self) -> None:
        """End the waiting, now and for good."""
        self._stopped.set()
        link = Link(self._server, patience=0)
        deadline = time.monotonic() + 1
        try:
            # More than once, since the waiting may be about to begin: then there is nothing to unblock yet.
            while self._blocked and not self._unblock(link) and time.monotonic() < deadline:
                time.sleep(0.005)
        finally:
            link.close()

    def close(self) -> None:
        """Close the connections. Only from the thread that waits, or when it has ended."""
        self._pass_on()
        self._link.close()
        self._control.close()

    def _wait(self, seconds: float) -> Any:
        aside = self.aside
        keys = [self._recalls[name] if name in aside else wake for name, wake in self._wakes.items()]
        if seconds >= LONGEST:
            # Nothing hangs on when this ends.
            return self._link.command(b"BLPOP", *keys, f"{seconds:.3f}", key=self._node, timeout=seconds + 5)
        return self._link.wait_for(
            b"BLPOP",
            *keys,
            f"{seconds + 1:.3f}",
            key=self._node,
            seconds=seconds,
            give_up=self._give_up,
        )

    def _give_up(self) -> None:
        self._unblock(self._control)

    def _unblock(self, link: Link) -> bool:
        """Whether it was blocked."""
        if self._client_id is not None:
            # If that fails, the connection is gone, and with it the waiting; or the server's own timeout ends it.
            with contextlib.suppress(BrokerError):
                return bool(link.command(b"CLIENT", b"UNBLOCK", self._client_id, key=self._node))
        return False

    def _pass_on(self) -> None:
        """We were called and go away: somebody else has to look."""
        key, self._called = self._called, None
        if key is not None:
            with contextlib.suppress(BrokerError):
                self._control.command(b"LPUSH", key, b"1", key=key)

    def _remember(self, connection: AbstractConnection) -> None:
        connection.send_packed_command([pack((b"CLIENT", b"ID"))], check_health=False)
        self._client_id = int(connection.read_response())


class ClusterWaiter:
    """The same over the nodes of a cluster: one blocked thread a queue, since one command can't wait on two nodes."""

    def __init__(self, server: Server, queues: Sequence[QueueKeys], worker: str) -> None:
        self._called = threading.Event()
        self._stopped = False
        self._waiters = [Waiter(server, [keys], worker) for keys in queues]
        self._threads = [
            threading.Thread(target=self._listen, args=(waiter,), name=f"jobyard-wait-{keys.name}", daemon=True)
            for waiter, keys in zip(self._waiters, queues, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def aside(self) -> frozenset[str]:
        """As `Waiter.aside`. It holds from the next waiting on; at worst a thread is called once more before."""
        return self._waiters[0].aside

    @aside.setter
    def aside(self, names: frozenset[str]) -> None:
        for waiter in self._waiters:
            waiter.aside = names

    def wait(self, seconds: float | None) -> None:
        """Block until a queue calls, the time is over, or `stop`."""
        self._called.wait(LONGEST if seconds is None else min(seconds, LONGEST))
        self._called.clear()

    def stop(self) -> None:
        """End the waiting, now and for good."""
        self._stopped = True
        self._called.set()
        for waiter in self._waiters:
            waiter.stop()

    def close(self) -> None:
        """Wait for the threads, and close their connections."""
        for thread in self._threads:
            thread.join(timeout=LONGEST + 1)
        for waiter in self._waiters:
            waiter.close()

    def _listen(self, waiter: Waiter) -> None:
        while not self._stopped:
            try:
                waiter.wait(None)
                self._called.set()
            except BrokerError:
                time.sleep(0.5)  # The worker looks by itself meanwhile.
