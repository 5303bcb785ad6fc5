"""The operator's brokers: they give up soon, since whoever looks at a thousand queues must not wait long for one Redis."""

from __future__ import annotations

from typing import Any, Final

from jobyard.broker import JobyardBroker

#: Seconds for which a call is tried again; after that it raises, and the next look is another try.
PATIENCE: Final = 1.0
#: Seconds for a connection, and for a reply.
TIMEOUT: Final = 2.0


def connect(url: str, namespace: str = "jobyard", **options: Any) -> JobyardBroker:
    """A broker that runs nothing and fails fast. Makes no connection yet; keep it, since each thread that uses it makes one.

    Args:
        url: see `jobyard.broker.server`.
        options: what redis-py's connections take besides, such as `ssl_ca_certs`.

    Raises:
        ValueError: the URL can't be understood.
    """
    return JobyardBroker(
        url,
        middleware=[],
        namespace=namespace,
        patience=PATIENCE,
        reply_timeout=TIMEOUT,
        **{"socket_connect_timeout": TIMEOUT, "socket_timeout": TIMEOUT, **options},
    )
