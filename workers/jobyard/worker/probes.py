"""`/livez`, `/readyz` and `/metrics` over HTTP, for Kubernetes and Prometheus. Serves nothing else, and nobody else.

A few lines of HTTP/1.0 in the supervisor's event loop rather than a web server: each connection is answered once and closed,
whatever a client does costs a bounded amount of memory and time, and strangers can't keep the kubelet out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

#: Seconds that a client may take to ask, and to read the answer.
PATIENCE: Final = 3.0
#: Connections at the same time. One more, and the oldest goes.
LONGEST_QUEUE: Final = 64
#: Bytes of the longest request.
_LONGEST_REQUEST: Final = 8192

_TEXT: Final = "text/plain; charset=utf-8"
_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}

#: Status, content type, body.
Answer = tuple[int, str, bytes]


class Watched(Protocol):
    """What the probes ask."""

    def complaints(self) -> list[str]:
        """Why this worker should be restarted; empty: it is well."""

    def obstacles(self) -> list[str]:
        """Why it can't do its work now; empty: it can."""

    async def metrics(self) -> bytes:
        """Its metrics in Prometheus' text format."""


class Probes:
    """The server.

    Args:
        host: address to listen on; None: all.
    """

    def __init__(self, watched: Watched, host: str | None) -> None:
        self._watched = watched
        self._host = host
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, None] = {}  # in the order in which they came
        self._routes: dict[str, Callable[[], Awaitable[Answer]]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
        }

    async def start(self, port: int) -> str:
        """Listen. Returns the address for people.

        Raises:
            OSError: the address can't be had.
        """
        server = await asyncio.start_server(
            self._serve, self._host, port, limit=_LONGEST_REQUEST, reuse_address=True, backlog=LONGEST_QUEUE
        )
        self._server = server
        host, port, *_ = server.sockets[0].getsockname()
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    async def stop(self) -> None:
        """Listen no more, and close what is open."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= LONGEST_QUEUE:
            next(iter(self._open)).transport.abort()
        self._open[writer] = None
        try:
            async with asyncio.timeout(PATIENCE):
                status, kind, body, head_only = await self._answer(reader)
                head = (
                    f"HTTP/1.0 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode("ascii") + (b"" if head_only else body))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            pass  # Too slow, too much, or gone.
        finally:
            self._open.pop(writer, None)
            with contextlib.suppress(OSError):
                writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, str, bytes, bool]:
        request = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = request.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if not rest:
            return 400, _TEXT, b"this is no HTTP request\n", False
        if method not in ("GET", "HEAD"):
            return 405, _TEXT, b"only GET and HEAD\n", False
        route = self._routes.get(path)
        if route is None:
            return 404, _TEXT, f"there are {', '.join(self._routes)}\n".encode(), method == "HEAD"
        return *await route(), method == "HEAD"

    async def _livez(self) -> Answer:
        return _verdict(self._watched.complaints())

    async def _readyz(self) -> Answer:
        return _verdict(self._watched.obstacles())

    async def _metrics(self) -> Answer:
        return 200, _METRICS, await self._watched.metrics()


def _verdict(wrong: list[str]) -> Answer:
    if wrong:
        return 503, _TEXT, "".join(f"{one}\n" for one in wrong).encode()
    return 200, _TEXT, b"ok\n"
