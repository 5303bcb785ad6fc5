"""A network that fails on command: stands between a client and a server, and loses, delays, cuts or refuses."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import threading
import time
from dataclasses import dataclass
from typing import Self


@dataclass
class _Loss:
    """So many replies to requests that contain `containing` are still to be lost."""

    containing: bytes
    times: int


class Proxy:
    """Forwards TCP connections to 127.0.0.1:`target`.

    Attributes:
        lost: how many replies it has dropped.
        accepted: how many connections it has forwarded.
    """

    def __init__(self, target: int) -> None:
        self.lost = 0
        self.accepted = 0
        self._target = target
        self._lock = threading.Lock()
        self._losses: list[_Loss] = []
        self._delay = 0.0
        self._chance = 0.0
        self._random = random.Random()
        self._refusing = False
        self._silent = False
        self._connections: set[socket.socket] = set()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    # Faults --------------------------------------------------------------------------------------------------------

    def lose_replies(self, times: int = 1, *, containing: bytes = b"") -> None:
        """Forward the next so many requests that contain these bytes, drop what is answered, and cut the connection."""
        with self._lock:
            self._losses.append(_Loss(containing, times))

    def lose_at_random(self, chance: float, seed: int) -> None:
        """Each reply is dropped with this probability, and the connection cut."""
        self._random, self._chance = random.Random(seed), chance

    def delay(self, seconds: float) -> None:
        """Each reply comes so much later."""
        self._delay = seconds

    def silence(self) -> None:
        """Connections stay open, but nothing gets through any more, in either direction."""
        self._silent = True

    def refuse(self) -> None:
        """Cut all connections, and accept no new ones."""
        self._refusing = True
        self.cut()

    def heal(self) -> None:
        """No more faults. Connections that were silenced are cut."""
        if self._silent:
            self.cut()
        with self._lock:
            self._losses.clear()
        self._delay, self._chance, self._refusing, self._silent = 0.0, 0.0, False, False

    def cut(self) -> None:
        """Cut all connections that are there now."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut everything, for good."""
        self._closed = True
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Forwarding ----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing or self._closed:
                client.close()
                continue
            self.accepted += 1
            threading.Thread(target=self._forward, args=(client,), name="proxy-connection", daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            client.close()
            return
        with self._lock:
            self._connections |= {client, server}
        try:
            # A reset is a normal end here.
            with contextlib.suppress(OSError):
                self._pump(client, server)
        finally:
            with self._lock:
                self._connections -= {client, server}
            client.close()
            server.close()

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        losing = False
        with selectors.DefaultSelector() as selector:
            for one in (client, server):
                one.settimeout(None)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(one, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(1 << 18)  # type: ignore[union-attr]
                    if not data:
                        return
                    if self._silent:
                        continue
                    if key.fileobj is client:
                        losing = losing or self._loses(data)
                        server.sendall(data)
                    elif losing:
                        self.lost += 1
                        return
                    else:
                        if self._delay:
                            time.sleep(self._delay)
                        client.sendall(data)

    def _loses(self, request: bytes) -> bool:
        if self._chance and self._random.random() < self._chance:
            return True
        with self._lock:
            for loss in self._losses:
                if loss.times and loss.containing in request:
                    loss.times -= 1
                    return True
        return False
