"""Serves the application by uvicorn: in the main thread (`jobyard serve`) or beside other work (`jobyard up`)."""

from __future__ import annotations

import errno
import ipaddress
import logging
import signal
import socket
import threading
from types import FrameType
from typing import Any, Final, Self

import uvicorn

from jobyard.broker import JobyardBroker
from jobyard.web.app import create_app
from jobyard.web.feed import Feed
from jobyard.web.guard import is_loopback
from jobyard.web.settings import WebConfigError, WebSettings

#: Connections at the same time; a further one is told to come back.
_MOST_CONNECTIONS: Final = 400
#: Seconds that requests get to end when the server stops.
_GRACE: Final = 5
_START: Final = 10.0
#: How many further ports are tried where the wanted one is taken.
_FURTHER_PORTS: Final = 20

_logger: Final = logging.getLogger("jobyard.web")


class WebServer:
    """One address that serves one broker. Listens from the start; answers after `run()` or `start()`.

    Args:
        broker: should have little patience: a request waits for Redis as long.
        settings: where to listen, and who may come in.
        any_port: take the next free port where the wanted one is taken.

    Raises:
        WebConfigError: the address can't be used, or it would let in anybody.
    """

    def __init__(self, broker: JobyardBroker, settings: WebSettings, *, any_port: bool = False) -> None:
        self._socket = _listen(settings, any_port)
        host, port = self._socket.getsockname()[:2]
        #: The port that it listens on.
        self.port = int(port)
        #: Where it is.
        self.url = f"http://{_reachable(host)}:{port}"
        feed = Feed()
        config = uvicorn.Config(
            create_app(broker, settings, feed=feed),
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # Whoever comes first could claim to be a proxy.
            proxy_headers=False,
            ws="none",
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE,
        )
        self._server = _Server(config, feed)
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. For the main thread."""
        self._server.run([self._socket])

    def start(self) -> Self:
        """Serve in a thread, and return when requests are answered."""
        self._thread = threading.Thread(target=self.run, name="jobyard-web-server", daemon=True)
        self._thread.start()
        if not self._server.ready.wait(_START):
            raise TimeoutError(f"the web server did not start within {_START:g} s")
        return self

    def stop(self) -> None:
        """Let requests end, and stop. Does nothing if it doesn't run in a thread."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_GRACE + 2)
            self._thread = None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self._feed = feed
        self.ready = threading.Event()

    async def startup(self, *args: Any, **kwargs: Any) -> None:
        await super().startup(*args, **kwargs)
        self.ready.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # The usual one raises the signal again at the end, so that an orderly stop would look like a death by it.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, *args: Any, **kwargs: Any) -> None:
        # Otherwise it would wait for the streams of open dashboards, which never end.
        await self._feed.close()
        await super().shutdown(*args, **kwargs)


def _reachable(host: str) -> str:
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return host if address.version == 4 else f"[{host}]"


def _listen(settings: WebSettings, any_port: bool) -> socket.socket:
    host, wanted = settings.web_host, settings.web_port
    is_open = settings.keyring() is None
    if is_open and not is_loopback(host):
        raise WebConfigError(
            f"without a token the REST API is served on a loopback address only, not on {host!r}: set JOBYARD_TOKEN "
            "(every client must then send it), or leave JOBYARD_WEB_HOST at 127.0.0.1"
        )
    ports = [wanted] if wanted == 0 or not any_port else range(wanted, min(wanted + _FURTHER_PORTS, 65535) + 1)
    for port in ports:
        try:
            listening = _bind(host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port != ports[-1]:
                continue
            raise WebConfigError(_why_not(host, port, error)) from None
        if is_open and not is_loopback(listening.getsockname()[0]):
            address = listening.getsockname()[0]
            listening.close()
            raise WebConfigError(f"{host!r} is {address} on this machine, no loopback address: set JOBYARD_TOKEN")
        return listening
    raise AssertionError("there is always a last port")


def _bind(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    # With the protocol named, since asyncio lets answers go out at once (TCP_NODELAY) only then: without, each takes 40 ms.
    listening = socket.socket(family, kind, protocol)
    try:
        # A server that was stopped a moment ago must not keep its address; one that still listens does.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken by another program: choose another port, or stop that program"
    return f"can't listen on {host}, port {port}: {error.strerror or error}"
