"""A Redis inside this process, as far as Jobyard needs one: nothing to install, nothing to wait for, and a clock that obeys."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

from redis.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError

from jobyard.testing.clock import Clock
from jobyard.testing.keyspace import Keyspace
from jobyard.testing.scripting import Scripting


class MemoryServer:
    """Where a `MemoryBroker` keeps its jobs. Thread-safe.

    Args:
        clock: the server's time.
        on_publish: called with the channel and the message of each PUBLISH.
    """

    address = "memory"
    clustered = False

    def __init__(self, clock: Clock, on_publish: Callable[[bytes, bytes], None]) -> None:
        self._keyspace = Keyspace(clock, on_publish)
        self._scripting = Scripting(self._keyspace.execute)
        self._texts: dict[bytes, bytes] = {}
        self._lock = threading.RLock()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._keyspace.clear()

    def answer(self, command: list[bytes]) -> Any:
        """The reply to a command.

        Raises:
            ResponseError: it can't be run.
        """
        with self._lock:
            if command[0] not in (b"EVAL", b"EVALSHA"):
                return self._keyspace.execute(command)
            _, text, count, *rest = command
            if command[0] == b"EVALSHA":
                known = self._texts.get(text)
                if known is None:
                    raise NoScriptError("NOSCRIPT No matching script. Please use EVAL.")
                text = known
            else:
                self._texts[hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()] = text
            return self._scripting.run(text, rest[: int(count)], rest[int(count) :])

    def connection(self, key: bytes) -> AbstractConnection:
        """What `Link` speaks with."""
        return cast(AbstractConnection, _Connection(self.answer))

    def node_of(self, key: bytes) -> str:
        return ""

    def refresh(self) -> None:
        pass

    def client(self) -> NoReturn:
        """There is none: whoever asks for it would wait for a job that nobody runs meanwhile.

        Raises:
            RuntimeError: says what to do.
        """
        raise RuntimeError(
            "a MemoryBroker runs jobs only when it is told to: call broker.run(), or broker.advance(…) for what is due later, "
            "before you wait for a job. It has no Redis for an application's own keys either."
        )


class _Connection:
    """The part of redis-py's connection that `Link` uses."""

    def __init__(self, answer: Callable[[list[bytes]], Any]) -> None:
        self._answer = answer
        self._replies: deque[Any] = deque()

    def connect(self) -> None:
        self._replies.clear()

    def disconnect(self) -> None:
        self._replies.clear()

    def send_packed_command(self, requests: Sequence[bytes], check_health: bool = True) -> None:
        for command in _commands(b"".join(requests)):
            try:
                self._replies.append(self._answer(command))
            except RedisError as error:
                self._replies.append(error)

    def can_read(self, timeout: float = 0) -> bool:
        return bool(self._replies)

    def read_response(self, **options: Any) -> Any:
        reply = self._replies.popleft()
        if isinstance(reply, RedisError):
            raise reply
        return reply


def _commands(data: bytes) -> list[list[bytes]]:
    """RESP arrays of bulk strings, as `scripts.pack` makes them."""
    found: list[list[bytes]] = []
    at = 0

    def number() -> int:
        nonlocal at
        end = data.index(b"\r\n", at)
        value = int(data[at + 1 : end])
        at = end + 2
        return value

    while at < len(data):
        command: list[bytes] = []
        for _ in range(number()):
            size = number()
            command.append(data[at : at + size])
            at += size + 2
        found.append(command)
    return found
