"""Which Redis or Valkey it is, from a URL: one server, one behind Sentinel, or a Cluster. Makes connections, calls nothing.

redis://user:password@host:6379/0            rediss://…  for TLS        unix:///path/to/socket?db=0
redis+sentinel://user:password@host:26379,host2:26379/0?service=mymaster          rediss+sentinel://…
redis+cluster://user:password@host:6379,host2:6379                                rediss+cluster://…
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import AbstractConnection
from redis.exceptions import ClusterDownError, RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

CONNECT_TIMEOUT: Final = 2.0
#: Seconds that a server may take for one reply. Scripts are bounded, so that a longer silence means trouble.
REPLY_TIMEOUT: Final = 5.0

# We send again ourselves, since only we know which calls may be sent twice and until when. RESP2 is all that we need.
_PLAIN: Final[dict[str, Any]] = {
    "protocol": 2,
    "retry": Retry(NoBackoff(), 0),
    "retry_on_error": [],
    "socket_connect_timeout": CONNECT_TIMEOUT,
    "socket_timeout": REPLY_TIMEOUT,
    "socket_keepalive": True,
}


class Server(Protocol):
    """Where connections come from.

    Attributes:
        address: the URL without user and password, for logs and errors.
        clustered: keys lie on several nodes, so that one script can't touch several queues.
    """

    address: str
    clustered: bool

    def connection(self, key: bytes) -> AbstractConnection:
        """A new connection, not yet open, to the node that has the key."""

    def node_of(self, key: bytes) -> str:
        """A name for that node: connections are kept by it."""

    def refresh(self) -> None:
        """Ask again who has what."""

    def client(self) -> Any:
        """An ordinary redis-py client, for whatever is not on the hot path."""


def server(url: str, **options: Any) -> Server:
    """The server that a URL names.

    Args:
        url: see this module's text.
        options: what redis-py's connections take besides, such as `ssl_ca_certs`.

    Raises:
        ValueError: the URL can't be understood.
    """
    scheme = urlsplit(url).scheme
    options = {**_PLAIN, **options}
    if scheme == "unix":
        del options["socket_keepalive"]
        return _Single(url, options)
    if scheme in ("redis", "rediss"):
        return _Single(url, options)
    base, _, kind = scheme.partition("+")
    if base in ("redis", "rediss") and kind == "sentinel":
        return _Sentinel(url, base == "rediss", options)
    if base in ("redis", "rediss") and kind == "cluster":
        return _Cluster(url, base == "rediss", options)
    raise ValueError(
        f"can't understand the Redis URL {without_secrets(url)!r}: it starts with redis://, rediss://, unix://, "
        "redis+sentinel:// or redis+cluster://"
    )


def without_secrets(url: str) -> str:
    """The URL without user, password and parameters."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class _Single:
    clustered = False

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.address = without_secrets(url)
        try:
            self._pool = redis.ConnectionPool.from_url(url, **options)
        except ValueError as error:
            raise ValueError(f"can't understand the Redis URL {self.address!r}: {error}") from None

    def connection(self, key: bytes) -> AbstractConnection:
        made: AbstractConnection = self._pool.connection_class(**self._pool.connection_kwargs)
        return made

    def node_of(self, key: bytes) -> str:
        return ""

    def refresh(self) -> None:
        pass

    def client(self) -> Any:
        return redis.Redis(connection_pool=self._pool)


class _Sentinel(_Single):
    def __init__(self, url: str, tls: bool, options: dict[str, Any]) -> None:
        self.address = without_secrets(url)
        parts = urlsplit(url)
        parameters = dict(parse_qsl(parts.query))
        service = parameters.get("service", "mymaster")
        options = {**options, **_login(url), "db": int(parts.path.strip("/") or 0)}
        to_sentinel = {**_PLAIN, **_sentinel_login(parameters)}
        if tls:
            options["ssl"] = to_sentinel["ssl"] = True
            to_sentinel |= {name: value for name, value in options.items() if name.startswith("ssl_")}
        sentinel = Sentinel(_hosts(url, 26379), sentinel_kwargs=to_sentinel, **options)
        self._pool = sentinel.master_for(service).connection_pool


class _Cluster:
    clustered = True

    def __init__(self, url: str, tls: bool, options: dict[str, Any]) -> None:
        self.address = without_secrets(url)
        options = {**options, **_login(url)}
        options.pop("retry_on_error")
        if tls:
            options["ssl"] = True
        self._hosts = _hosts(url, 6379)
        self._options = options
        self._known: RedisCluster | None = None

    def _cluster(self) -> RedisCluster:
        # Asking the nodes is I/O, which must not happen when an actor is merely declared.
        if self._known is None:
            nodes = [ClusterNode(host, port) for host, port in self._hosts]
            with _cluster_errors():
                self._known = RedisCluster(startup_nodes=nodes, **self._options)
        return self._known

    def connection(self, key: bytes) -> AbstractConnection:
        node = self._node(key)
        pool = self._cluster().get_redis_connection(node).connection_pool
        made: AbstractConnection = pool.connection_class(**pool.connection_kwargs)
        return made

    def node_of(self, key: bytes) -> str:
        name: str = self._node(key).name
        return name

    def refresh(self) -> None:
        if self._known is not None:
            with _cluster_errors():
                self._known.nodes_manager.initialize()

    def _node(self, key: bytes) -> ClusterNode:
        cluster = self._cluster()
        with _cluster_errors():
            node: ClusterNode | None = cluster.get_node_from_key(key)
        if node is None:
            raise ClusterDownError("no node has the slot of this key")
        return node

    def client(self) -> Any:
        return self._cluster()


@contextmanager
def _cluster_errors() -> Iterator[None]:
    """redis-py's cluster client has an error of its own, for all that it meets when it asks the nodes who has what."""
    try:
        yield
    except RedisClusterException as error:
        cause = error.__cause__
        raise cause if isinstance(cause, RedisError) else ClusterDownError(str(error)) from None


def _hosts(url: str, default_port: int) -> list[tuple[str, int]]:
    found = []
    for host in urlsplit(url).netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{host}")
        if not one.hostname:
            raise ValueError(f"the Redis URL {without_secrets(url)!r} names no host")
        found.append((one.hostname, one.port or default_port))
    return found


def _login(url: str) -> dict[str, Any]:
    user, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    return {key: unquote(value) for key, value in (("username", user), ("password", password)) if value}


def _sentinel_login(parameters: dict[str, str]) -> dict[str, Any]:
    names = {"sentinel_username": "username", "sentinel_password": "password"}
    return {names[name]: value for name, value in parameters.items() if name in names}
