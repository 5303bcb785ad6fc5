"""A real HTTP server on this machine, whose answers each test writes by hand, down to the bytes."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pytest

from jobyard.jobs.download import DownloadSettings

Answer = Callable[[BinaryIO], None]


class Server:
    """Gives `answers[path]` the stream to write to; a path that has none is answered with 404.

    Attributes:
        requests: the path and headers of each request that came.
        stop: set when the test is over; answers that go on for ever look at it.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.stop = threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append((self.path, dict(self.headers.items())))
                answer = server.answers.get(self.path.partition("?")[0])
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self.wfile)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        class HTTPServer(http.server.ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                # A client that hangs up is what many of these tests are about.
                if not isinstance(sys.exception(), OSError):
                    super().handle_error(request, client_address)

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        self._thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def on(self, path: str, *, status: int = 200, body: bytes = b"", **headers: str | int) -> str:
        """Answer `path` in the ordinary way; `retry_after=1` makes a header Retry-After. Returns the URL."""
        headers.setdefault("content_length", len(body))
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return self.on_raw(path, "\r\n".join([f"HTTP/1.1 {status} Status", *lines, "", ""]).encode() + body)

    def on_raw(self, path: str, answer: bytes | Answer) -> str:
        """Answer `path` with exactly these bytes, or let a function write them. Returns the URL."""
        if isinstance(answer, bytes):
            self.answers[path] = lambda stream: void(stream.write(answer))
        else:
            self.answers[path] = answer
        return self.url(path)

    def close(self) -> None:
        self.stop.set()
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()


def void(_: object) -> None:
    """For lambdas whose function gives something that nobody wants."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def allowed(server: Server) -> DownloadSettings:
    """Settings that let downloads reach the test's server, and nothing else that is private."""
    return DownloadSettings(allow=f"127.0.0.1:{server.port}")
