"""One thread's connection to Redis: sends a request, and sends it again when the reply gets lost.

Every request that goes through here may be sent twice: scripts are idempotent, and so are the few plain commands.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar, cast

import redis.exceptions as wire
from redis.connection import AbstractConnection, Connection

from jobyard.broker.errors import WIRE_ERRORS, BrokerUnavailableError, translate
from jobyard.broker.scripts import Argument, Script, pack
from jobyard.broker.server import REPLY_TIMEOUT, Server

Reply = TypeVar("Reply")

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0


class Link:
    """Not thread-safe: one thread, or a lock around it.

    Args:
        server: where to connect to.
        patience: seconds for which a call is sent again while Redis can't be reached; then the error is raised.
        reply_timeout: seconds for one reply.
        on_connect: called with the link after each new connection, with the node's own connection as the only one to use.
    """

    def __init__(
        self,
        server: Server,
        *,
        patience: float = 10.0,
        reply_timeout: float = REPLY_TIMEOUT,
        on_connect: Callable[[AbstractConnection], None] | None = None,
    ) -> None:
        self.server = server
        self.patience = patience
        self._reply_timeout = reply_timeout
        self._on_connect = on_connect
        self._connections: dict[str, AbstractConnection] = {}
        self._pid = os.getpid()
        self._unread = False  # a request was sent, and its reply not read

    def call(self, script: Script, keys: Sequence[bytes], arguments: Iterable[Argument] = ()) -> Any:
        """Run a script. See its file for keys, arguments and reply.

        Raises:
            BrokerError: it was not (or not for sure) applied. Call it again with the same call number to make sure.
        """
        arguments = tuple(arguments)
        return self._send(
            script.packed(keys, arguments), keys[0], whole=lambda: script.packed(keys, arguments, by_text=True)
        )

    def command(self, *parts: Argument, key: bytes = b"", timeout: float | None = None) -> Any:
        """Run one plain command that may be sent twice. `key` says which node of a cluster has it."""
        return self._send(pack(parts), key, timeout=timeout)

    def wait_for(self, *parts: Argument, key: bytes, seconds: float, give_up: Callable[[], None]) -> Any:
        """Run one plain command that blocks on the server. After `seconds` without a reply `give_up` is called, which has to
        make the server answer: its own timeout for blocked clients is only exact to a tenth of a second."""

        def once() -> Any:
            connection = self._connection(key)
            self._unread = True
            connection.send_packed_command([pack(parts)], check_health=False)
            if not connection.can_read(seconds):
                give_up()
            try:
                return connection.read_response(timeout=REPLY_TIMEOUT)
            finally:
                self._unread = False

        return self._patiently(once)

    def call_and_confirm(
        self, script: Script, keys: Sequence[bytes], arguments: Iterable[Argument], confirm: bytes
    ) -> tuple[Any, Any]:
        """Run a script and, on the same connection, the command that waits until it is durable (WAIT or WAITAOF).

        Returns:
            The replies of both.
        """
        arguments = tuple(arguments)
        requests = [script.packed(keys, arguments), confirm]

        def once() -> tuple[Any, Any]:
            replies = self._pipeline(requests, keys[0], REPLY_TIMEOUT + self.patience)
            if isinstance(replies[0], wire.NoScriptError):
                requests[0] = script.packed(keys, arguments, by_text=True)
                replies = self._pipeline(requests, keys[0], REPLY_TIMEOUT + self.patience)
            for reply in replies:
                if isinstance(reply, BaseException):
                    raise reply
            return replies[0], replies[1]

        return self._patiently(once)

    def _send(
        self, request: bytes, key: bytes, *, whole: Callable[[], bytes] | None = None, timeout: float | None = None
    ) -> Any:
        def once() -> Any:
            try:
                return self._exchange(request, key, timeout)
            except wire.NoScriptError:
                # The server was restarted, or another one took over: teach it.
                if whole is None:
                    raise
                return self._exchange(whole(), key, timeout)
            except wire.AskError as error:
                return self._ask(error, request)

        return self._patiently(once)

    def _patiently(self, once: Callable[[], Reply]) -> Reply:
        """Do it until it is answered or the patience ends."""
        deadline = time.monotonic() + self.patience
        pause = _FIRST_PAUSE
        while True:
            try:
                return once()
            except wire.AskError:  # A MovedError is one, too.
                error = BrokerUnavailableError("the cluster moves this key's slot")
            except WIRE_ERRORS as problem:
                found = translate(problem)
                if not isinstance(found, BrokerUnavailableError):
                    raise found from None
                error = found
            self.close()
            left = deadline - time.monotonic()
            if left <= 0:
                raise error
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
            if self.server.clustered:
                self._refresh_quietly()

    def close(self) -> None:
        """Close all connections. The next call opens new ones."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            connection.disconnect()

    def _exchange(self, request: bytes, key: bytes, timeout: float | None) -> Any:
        connection = self._connection(key)
        self._unread = True
        connection.send_packed_command([request], check_health=False)
        try:
            return connection.read_response(timeout=self._reply_timeout if timeout is None else timeout)
        finally:
            # redis-py has read the reply, or has closed the connection.
            self._unread = False

    def _pipeline(self, requests: Sequence[bytes], key: bytes, timeout: float) -> list[Any]:
        connection = self._connection(key)
        self._unread = True
        connection.send_packed_command([b"".join(requests)], check_health=False)
        replies: list[Any] = []
        for _ in requests:
            try:
                replies.append(connection.read_response(timeout=timeout, disconnect_on_error=False))
            except wire.ResponseError as reply:
                replies.append(reply)
        self._unread = False
        return replies

    def _connection(self, key: bytes) -> AbstractConnection:
        if self._pid != os.getpid():
            # A forked child must not speak on its parent's connection, nor close it for the parent.
            self._connections, self._pid = {}, os.getpid()
        if self._unread:
            # An interrupt hit a job while it was sending: what comes next on this connection would be the old reply.
            self.close()
            self._unread = False
        node = self.server.node_of(key) if self.server.clustered else ""
        connection = self._connections.get(node)
        if connection is None:
            connection = self.server.connection(key)
            connection.connect()
            if self._on_connect is not None:
                self._on_connect(connection)
            self._connections[node] = connection
        return connection

    def _ask(self, error: wire.AskError, request: bytes) -> Any:
        connection = cast(Connection, self.server.connection(b""))
        connection.host, connection.port = error.host, error.port
        connection.connect()
        try:
            connection.send_packed_command([pack((b"ASKING",))], check_health=False)
            connection.read_response()
            connection.send_packed_command([request], check_health=False)
            return connection.read_response()
        finally:
            connection.disconnect()

    def _refresh_quietly(self) -> None:
        # Where no node answers yet, the caller's own deadline decides how long that may last.
        with contextlib.suppress(*WIRE_ERRORS):
            self.server.refresh()
