"""The probes' HTTP, over real sockets: what they answer, and what they put up with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from jobyard.worker import probes
from jobyard.worker.probes import LONGEST_QUEUE, Probes

Client = Callable[[int], Awaitable[None]]


class Worker:
    """Something to ask about."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.missing: list[str] = []

    def complaints(self) -> list[str]:
        return self.wrong

    def obstacles(self) -> list[str]:
        return self.missing

    async def metrics(self) -> bytes:
        return b"metric 1\n" * 100_000


def serve(client: Callable[[int, Worker], Awaitable[None]]) -> None:
    """Run a client against probes."""

    async def both() -> None:
        worker = Worker()
        server = Probes(worker, "127.0.0.1")
        address = await server.start(0)
        try:
            await client(int(address.rpartition(":")[2]), worker)
        finally:
            await server.stop()

    asyncio.run(both())


async def ask(port: int, request: bytes) -> tuple[bytes, bytes]:
    """The head and the body of the answer; both empty: there was none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return head, body
    except ConnectionError:
        return b"", b""
    finally:
        writer.close()


def test_livez_and_readyz_say_ok_or_what_is_wrong() -> None:
    async def client(port: int, worker: Worker) -> None:
        for path in (b"/livez", b"/readyz", b"/livez?verbose"):
            head, body = await ask(port, b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            assert head.startswith(b"HTTP/1.0 200 OK\r\n")
            assert body == b"ok\n"
        worker.wrong, worker.missing = ["this", "that"], ["Redis"]
        head, body = await ask(port, b"GET /livez HTTP/1.1\r\n\r\n")
        assert (head.split(b" ")[1], body) == (b"503", b"this\nthat\n")
        head, body = await ask(port, b"GET /readyz HTTP/1.1\r\n\r\n")
        assert (head.split(b" ")[1], body) == (b"503", b"Redis\n")

    serve(client)


def test_metrics_come_whole_and_with_their_type() -> None:
    async def client(port: int, worker: Worker) -> None:
        head, body = await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8" in head
        assert b"Content-Length: 900000" in head
        assert len(body) == 900_000
        head, body = await ask(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")
        assert b"Content-Length: 900000" in head
        assert body == b""

    serve(client)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /livez/../../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /livez HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"\x16\x03\x01\r\n\r\n", b"400"),
    ],
)
def test_whatever_else_is_asked_is_refused(request_: bytes, status: bytes) -> None:
    async def client(port: int, worker: Worker) -> None:
        head, _ = await ask(port, request_)
        assert head.split(b" ")[1] == status

    serve(client)


def test_a_request_without_end_is_cut_off() -> None:
    async def client(port: int, worker: Worker) -> None:
        head, _ = await ask(port, b"GET /livez HTTP/1.1\r\n" + b"X-Filler: abc\r\n" * 10_000)
        assert head == b""
        head, _ = await ask(port, b"GET /livez HTTP/1.1\r\n\r\n")
        assert b"200" in head

    serve(client)


def test_slow_clients_are_cut_off_and_keep_nobody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PATIENCE", 1.0)

    async def client(port: int, worker: Worker) -> None:
        # Some say nothing, and some don't read what they have asked for.
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for _, writer in silent[:10]:
            writer.write(b"GET /livez HTTP/1.1\r\n")
        for _, writer in silent[10:]:
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        begun = time.monotonic()
        _, body = await ask(port, b"GET /livez HTTP/1.1\r\n\r\n")
        assert body == b"ok\n"
        assert time.monotonic() - begun < 0.9
        for reader, _ in silent[:10]:
            async with asyncio.timeout(3):
                assert await _rest(reader) == b""
        assert time.monotonic() - begun < 4
        for _, writer in silent:
            writer.close()

    serve(client)


def test_however_many_connections_are_held_open_the_next_one_is_answered() -> None:
    async def client(port: int, worker: Worker) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * LONGEST_QUEUE)]
        begun = time.monotonic()
        _, body = await ask(port, b"GET /livez HTTP/1.1\r\n\r\n")
        assert body == b"ok\n"
        assert time.monotonic() - begun < 2.5
        # The oldest have gone.
        async with asyncio.timeout(1):
            assert await _rest(held[0][0]) == b""
        for _, writer in held:
            writer.close()

    serve(client)


def test_an_address_that_is_taken_is_told() -> None:
    async def client(port: int, worker: Worker) -> None:
        with pytest.raises(OSError, match="in use"):
            await Probes(worker, "127.0.0.1").start(port)

    serve(client)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""
