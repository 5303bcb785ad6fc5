"""HTTP and HTTPS connections that check the very address they connect to.

The name is resolved once, all its addresses are checked, and one of them is connected to. No second lookup happens, so
a name server that changes its answer in between (DNS rebinding) gains nothing. Server name and certificate check stay
on the host name. Proxies from the environment play no part at this level of urllib3.
"""

from __future__ import annotations

import functools
import http.client
import socket
import ssl
from pathlib import Path

import urllib3.connection
from urllib3.util import Url
from urllib3.util.response import assert_header_parsing

from jobyard.jobs.download.deadline import Deadline, DeadlineSocket, DeadlineTLSSocket
from jobyard.jobs.download.policy import Policy
from jobyard.jobs.download.resolve import resolve


class Opener:
    """Opens sockets to what the policy allows, within a deadline."""

    def __init__(self, policy: Policy, deadline: Deadline, connect_timeout: float) -> None:
        self.policy = policy
        self.deadline = deadline
        self.connect_timeout = connect_timeout

    def open(self, host: str, port: int) -> DeadlineSocket:
        """A connected socket.

        Raises:
            DownloadRefused: an address of the host may not be connected to.
            OSError: the name doesn't resolve, or nothing at its addresses accepts the connection.
        """
        found = resolve(host, port, self.deadline)
        self.policy.check(host, port, [answer.address for answer in found])
        failure: OSError = OSError("the name resolves to no address")
        for answer in found:
            sock = DeadlineSocket(answer.family, socket.SOCK_STREAM)
            try:
                sock.settimeout(min(self.connect_timeout, self.deadline.remaining()))
                sock.connect(answer.target)
                sock.settimeout(self.deadline.remaining())
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                sock.deadline = self.deadline
                return sock
        raise failure


class StrictResponse(http.client.HTTPResponse):
    """Refuses a head that can't be parsed to its end.

    Whatever stands behind the bad line is lost, `Content-Length` perhaps, so that a cut-off answer would pass for a
    whole one. urllib3 only logs it, with the whole URL.
    """

    def begin(self) -> None:
        super().begin()
        assert_header_parsing(self.msg)


class CheckedHTTPConnection(urllib3.connection.HTTPConnection):
    response_class = StrictResponse

    def __init__(self, host: str, port: int, opener: Opener) -> None:
        super().__init__(host, port)
        self._opener = opener

    def _new_conn(self) -> socket.socket:
        return self._opener.open(self._dns_host, self.port)


class CheckedHTTPSConnection(urllib3.connection.HTTPSConnection):
    response_class = StrictResponse

    def __init__(self, host: str, port: int, opener: Opener, context: ssl.SSLContext) -> None:
        super().__init__(host, port, ssl_context=context)
        self._opener = opener

    def _new_conn(self) -> socket.socket:
        return self._opener.open(self._dns_host, self.port)

    def connect(self) -> None:
        super().connect()
        # Wrapping in TLS made a new socket object.
        assert isinstance(self.sock, DeadlineTLSSocket)
        self.sock.deadline = self._opener.deadline


def connection_to(url: Url, opener: Opener, ca_file: Path | None) -> CheckedHTTPConnection | CheckedHTTPSConnection:
    """A connection for `url` (http or https), not yet connected."""
    assert url.host is not None
    host = url.host.strip("[]")
    if url.scheme == "https":
        return CheckedHTTPSConnection(host, url.port or 443, opener, _tls_context(ca_file))
    return CheckedHTTPConnection(host, url.port or 80, opener)


@functools.cache
def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    context.sslsocket_class = DeadlineTLSSocket
    return context
