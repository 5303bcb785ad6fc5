"""The Redis servers that JobQueues name, and how they are asked without holding up the event loop or each other."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerError, BrokerUnavailableError
from jobyard.errors import JobyardError
from jobyard_operator.kubernetes.api import Api, NotFound
from jobyard_operator.kubernetes.cache import Key
from jobyard_operator.kubernetes.kinds import SECRETS
from jobyard_operator.redis.connection import connect
from jobyard_operator.redis.wakeup import Listener
from jobyard_operator.resources.jobqueue import JobQueue, Redis

P = ParamSpec("P")
R = TypeVar("R")

#: Threads that speak with Redis, for all JobQueues together.
THREADS: Final = 4
#: Seconds after a failure during which a server isn't asked again.
REST: Final = 1.0
#: Seconds after which a Secret is read again when there is something wrong with what it says.
DOUBT: Final = 2.0


class NeedsChange(Exception):
    """Somebody has to change the JobQueue, or what it names. The message says what."""


class Connection:
    """One Redis and one prefix of keys, shared by all JobQueues that name them."""

    def __init__(self, broker: JobyardBroker, threads: ThreadPoolExecutor) -> None:
        self.broker = broker
        self._threads = threads
        self._rests_until = 0.0
        self._error: BrokerError | None = None
        self.listener: Listener | None = None
        self.used_at = time.monotonic()

    async def call(self, function: Callable[Concatenate[JobyardBroker, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function with the broker, in another thread.

        Raises:
            BrokerError: no answer. While a server doesn't answer, only one call in a second waits for it.
        """
        if self._error is not None and time.monotonic() < self._rests_until:
            raise self._error
        self.used_at = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            reply = await loop.run_in_executor(self._threads, lambda: function(self.broker, *args, **kwargs))
        except BrokerUnavailableError as error:
            self._error, self._rests_until = error, time.monotonic() + REST
            raise
        self._error = None
        return reply

    def close(self) -> None:
        if self.listener is not None:
            self.listener.stop(1)
        self.broker.close()


@dataclass(slots=True)
class _Secret:
    version: str
    values: dict[str, str] = field(default_factory=dict)
    read_at: float = 0.0
    good_for: float = 0.0


class Connections:
    """Finds the connection for a JobQueue.

    Args:
        secret_age: seconds after which a Secret is read again. They are not watched: that takes the right to list all of them.
        woken: called (in the event loop) with a connection and the name of a queue that got its first job; '' means any of them.
    """

    def __init__(self, api: Api, woken: Callable[[Connection, str], None], secret_age: float) -> None:
        self._api, self._woken, self._secret_age = api, woken, secret_age
        self._threads = ThreadPoolExecutor(THREADS, "redis")
        self._open: dict[tuple[str, str], Connection] = {}
        self._secrets: dict[Key, _Secret] = {}

    async def of(self, queue: JobQueue) -> tuple[Connection, str | None]:
        """The connection, and the version of the Secret that it comes from.

        Raises:
            NeedsChange: the Secret isn't there, or holds no URL of a Redis.
            ApiError: the Secret can't be read now.
        """
        try:
            url, version = await self._url(queue.metadata.namespace, queue.spec.redis)
            found = self._open.get((url, queue.spec.redis.namespace))
            if found is None:
                found = self._open[url, queue.spec.redis.namespace] = self._connect(url, queue.spec.redis.namespace)
        except NeedsChange:
            self.doubt(queue)
            raise
        found.used_at = time.monotonic()
        return found, version

    def doubt(self, queue: JobQueue) -> None:
        """Its Redis doesn't answer, or there is no URL: somebody may have changed the Secret, so it is read again soon."""
        if queue.spec.redis.secret_ref is None:
            return
        secret = self._secrets.get(Key(queue.metadata.namespace, queue.spec.redis.secret_ref.name))
        if secret is not None:
            secret.good_for = DOUBT

    def fresh_for(self, queue: JobQueue) -> float:
        """Seconds until its Secret is to be read again, so that a queue that sleeps gets to know of another one, too."""
        if queue.spec.redis.secret_ref is None:
            return math.inf
        secret = self._secrets.get(Key(queue.metadata.namespace, queue.spec.redis.secret_ref.name))
        return 0.0 if secret is None else max(0.0, secret.read_at + secret.good_for - time.monotonic())

    def close_unused(self, older_than: float) -> list[Connection]:
        """Close what no JobQueue has named for so many seconds: the URL has changed. Returns what was closed."""
        limit = time.monotonic() - older_than
        closed = []
        for key, connection in list(self._open.items()):
            if connection.used_at < limit:
                del self._open[key]
                connection.close()
                closed.append(connection)
        return closed

    def close(self) -> None:
        """Close everything. Calls that wait for an answer get none any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for connection in self._open.values():
            if connection.listener is not None:
                connection.listener.stop(0)
        for connection in self._open.values():
            connection.close()

    def _connect(self, url: str, namespace: str) -> Connection:
        try:
            broker = connect(url, namespace)
        except (JobyardError, ValueError, TypeError) as error:
            raise NeedsChange(f"the URL of Redis can't be used: {_without_secrets(error, url)}") from None
        connection = Connection(broker, self._threads)
        loop = asyncio.get_running_loop()

        def wake(name: str) -> None:
            loop.call_soon_threadsafe(self._woken, connection, name)

        connection.listener = Listener(broker, wake)
        connection.listener.start()
        return connection

    async def _url(self, namespace: str, redis: Redis) -> tuple[str, str | None]:
        if redis.secret_ref is None:
            return redis.url or "", None
        key = Key(namespace, redis.secret_ref.name)
        secret = self._secrets.get(key)
        if secret is None or time.monotonic() - secret.read_at > secret.good_for:
            secret = self._secrets[key] = await self._read(key)
        url = secret.values.get(redis.secret_ref.key)
        if url is None:
            raise NeedsChange(f"the Secret {key.name} has no key {redis.secret_ref.key!r}: add it, or name another key")
        return url, secret.version

    async def _read(self, key: Key) -> _Secret:
        try:
            whole = await self._api.get(SECRETS, key.namespace, key.name)
        except NotFound:
            self._secrets.pop(key, None)
            raise NeedsChange(f"there is no Secret {key.name}: create it, with the URL of Redis in it") from None
        values = {name: _decode(value) for name, value in (whole.get("data") or {}).items()}
        version = whole["metadata"].get("resourceVersion", "")
        return _Secret(version, values, time.monotonic(), self._secret_age)


def _decode(value: Any) -> str:
    return base64.b64decode(value).decode(errors="replace").strip()


def _without_secrets(error: Exception, url: str) -> str:
    return str(error).replace(url, "URL")
