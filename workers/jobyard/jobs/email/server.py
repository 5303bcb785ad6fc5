"""Runs an SMTP server in a thread of this process. `Mailbox` stands on it, and so do the tests.

Needs aiosmtpd (`pip install 'jobyard[local]'`).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from typing import Any, Final, Self

from jobyard.errors import JobyardError

_START_TIME: Final = 10.0
_STOP_TIME: Final = 1.0


class SmtpServer:
    """An SMTP server on one address.

    Args:
        handler: an aiosmtpd handler: what it does with commands and e-mails.
        host: the address to listen on.
        port: 0: one that the system chooses.
        tls: speak TLS from the start, with this context.
        options: what `aiosmtpd.smtp.SMTP` takes: `tls_context` for STARTTLS, `authenticator`, `data_size_limit`, …
    """

    def __init__(
        self, handler: Any, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None, **options: Any
    ) -> None:
        self._handler = handler
        self._host = host
        self._wanted_port = port
        self._tls = tls
        self._options = options
        self._port: int | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._protocols: list[Any] = []
        self.connections = 0
        """How many connections were accepted so far."""

    @property
    def port(self) -> int:
        """The port that it listens on. There is one after `start()`."""
        if self._port is None:
            raise RuntimeError("the SMTP server has not been started")
        return self._port

    def start(self) -> Self:
        """Listen, and return when connections are accepted.

        Raises:
            OSError: the address can't be used.
            JobyardError: aiosmtpd is not installed.
        """
        if self._thread is not None:
            raise RuntimeError("the SMTP server runs already")
        _require_aiosmtpd()
        listening = threading.Event()
        failure: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(self._serve(listening))
            except BaseException as error:
                # Handed to the thread that waits in `start()`. Once it has gone on, it is a fault like any other.
                if listening.is_set():
                    raise
                failure.append(error)
                listening.set()

        self._thread = threading.Thread(target=run, name="jobyard-smtp-server", daemon=True)
        self._thread.start()
        if not listening.wait(_START_TIME):
            raise TimeoutError(f"the SMTP server did not start within {_START_TIME:g} s")
        if failure:
            self._thread.join()
            self._thread = None
            raise failure[0]
        return self

    def stop(self) -> None:
        """Hang up on everybody, and return when the port is free. Does nothing if it doesn't run."""
        if self._thread is None:
            return
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def hang_up(self) -> None:
        """Cut all connections without a word, and go on listening."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._cut)

    async def _serve(self, listening: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self._loop.create_server(self._protocol, self._host, self._wanted_port, ssl=self._tls)
        self._port = int(server.sockets[0].getsockname()[1])
        listening.set()
        try:
            await self._stop.wait()
        finally:
            # In this order, with nothing in between: asyncio forgets to close a connection that is being accepted while
            # its server is closed.
            await self._see_everybody_off()
            server.close()
            await server.wait_closed()

    async def _see_everybody_off(self) -> None:
        """Cut the connections, also those that are only being accepted, and wait until all is cleaned up."""
        assert self._loop is not None
        deadline = self._loop.time() + _STOP_TIME
        while True:
            self._cut()
            busy = asyncio.all_tasks() - {asyncio.current_task()}
            if not busy and all(protocol.transport is None for protocol in self._protocols):
                return
            if self._loop.time() > deadline:  # A TLS handshake that the client doesn't go on with.
                for task in busy:
                    task.cancel()
            await asyncio.sleep(0.001)

    def _protocol(self) -> asyncio.Protocol:
        from aiosmtpd.smtp import SMTP

        self.connections += 1
        # The host name is given, since aiosmtpd would ask the DNS for it.
        options = {"hostname": "localhost", "enable_SMTPUTF8": True, **self._options}
        protocol: asyncio.Protocol = SMTP(self._handler, loop=self._loop, **options)
        self._protocols = [
            former for former in self._protocols if former.session is None or former.transport is not None
        ]
        self._protocols.append(protocol)
        return protocol

    def _cut(self) -> None:
        for protocol in self._protocols:
            if protocol.transport is not None:
                protocol.transport.abort()


def _require_aiosmtpd() -> None:
    try:
        import aiosmtpd.smtp  # noqa: F401 (only asks whether it is there)
    except ImportError as error:
        raise JobyardError("a local SMTP server needs aiosmtpd: pip install 'jobyard[local]'") from error
    log = logging.getLogger("mail.log")
    if log.level == logging.NOTSET:
        # It tells every command of every connection at INFO.
        log.setLevel(logging.WARNING)
