"""Downloads from a real server: what comes, what is refused, and that nothing goes on without bound."""

from __future__ import annotations

import gzip
import itertools
import socket
import time
import zlib
from typing import Any, BinaryIO

import pytest

from jobyard.errors import PermanentError, RetryAfter
from jobyard.jobs.download import DownloadError, DownloadRefused, DownloadSettings, download

MB = 1_000_000


def fetch(url: str, settings: DownloadSettings, max_bytes: int = MB, timeout: float = 10) -> bytes:
    with download(url, max_bytes=max_bytes, timeout=timeout, settings=settings) as body:
        content = body.file.read()
        assert len(content) == body.size
        return content


def test_the_body_comes_with_its_type_size_and_address(server: Any, allowed: DownloadSettings) -> None:
    url = server.on("/a.png", body=b"picture", content_type="image/png")
    with download(url, max_bytes=MB, timeout=10, settings=allowed) as body:
        assert body.file.read() == b"picture"
        assert (body.content_type, body.size, body.url) == ("image/png", 7, url)
    assert body.file.closed


def test_settings_come_from_the_environment_by_default(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.on("/a", body=b"x")
    with (
        pytest.raises(DownloadRefused, match=r"loopback.*JOBYARD_DOWNLOAD_ALLOW"),
        download(url, max_bytes=9, timeout=9),
    ):
        pass
    monkeypatch.setenv("JOBYARD_DOWNLOAD_ALLOW", f"127.0.0.1:{server.port}")
    with download(url, max_bytes=9, timeout=9) as body:
        assert body.size == 1


def test_a_long_body_goes_to_a_file_and_is_whole(server: Any) -> None:
    content = bytes(range(256)) * 2000
    url = server.on("/long", body=content)
    settings = DownloadSettings(allow=f"127.0.0.1:{server.port}", memory=1000)
    with download(url, max_bytes=MB, timeout=10, settings=settings) as body:
        assert body.file.read() == content
        assert body.file.fileno() >= 0


def test_the_request_says_who_asks_and_wants_no_compression(server: Any, allowed: DownloadSettings) -> None:
    url = server.on("/a", body=b"x")
    with download(url, max_bytes=9, timeout=9, accept="image/*", settings=allowed):
        pass
    [(_, headers)] = server.requests
    assert headers["User-Agent"].startswith("jobyard/")
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Accept"] == "image/*"
    assert headers["Host"] == f"127.0.0.1:{server.port}"


def test_progress_is_told_while_bytes_come(server: Any, allowed: DownloadSettings) -> None:
    url = server.on("/a", body=b"x" * 200_000)
    told: list[tuple[int, int | None]] = []
    with download(
        url, max_bytes=MB, timeout=9, on_progress=lambda got, of: told.append((got, of)), settings=allowed
    ) as body:
        assert told[-1] == (body.size, 200_000)
    assert len(told) > 1
    assert told == sorted(told)


def test_proxies_from_the_environment_are_not_used(
    server: Any, allowed: DownloadSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(server.on("/a", body=b"direct"), allowed) == b"direct"


# Addresses


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_this_machine_is_refused_in_every_notation_and_gets_no_request(server: Any, host: str) -> None:
    server.on("/a", body=b"secret")
    settings = DownloadSettings(ports=f"{server.port}")
    with pytest.raises(DownloadRefused, match="not a public address"):
        fetch(f"http://{host}:{server.port}/a", settings)
    assert server.requests == []


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://127.0.0.1:1/",
        "http://[::1]/",
        "file:///etc/passwd",
        "http://user:secret@127.0.0.1/",
    ],
)
def test_a_redirect_to_a_forbidden_place_is_refused(server: Any, allowed: DownloadSettings, location: str) -> None:
    with pytest.raises(DownloadRefused):
        fetch(server.on("/a", status=302, location=location), allowed)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Any, allowed: DownloadSettings, status: int) -> None:
    target = server.on("/b", body=b"here")
    url = server.on("/a", status=status, location="/b")
    with download(url, max_bytes=9, timeout=9, settings=allowed) as body:
        assert body.file.read() == b"here"
        assert body.url == target


def test_five_redirects_are_followed_and_six_are_not(server: Any, allowed: DownloadSettings) -> None:
    for step in range(6):
        server.on(f"/{step}", status=302, location=f"/{step + 1}")
    server.on("/6", body=b"end")
    assert fetch(server.url("/1"), allowed) == b"end"
    with pytest.raises(DownloadRefused, match="more than 5 redirects"):
        fetch(server.url("/0"), allowed)


def test_a_redirect_loop_ends(server: Any, allowed: DownloadSettings) -> None:
    with pytest.raises(DownloadRefused, match="more than 5 redirects"):
        fetch(server.on("/a", status=302, location="/a"), allowed)
    assert len(server.requests) == 6


def test_a_redirect_without_location_is_refused(server: Any, allowed: DownloadSettings) -> None:
    with pytest.raises(DownloadRefused, match="answered 302"):
        fetch(server.on("/a", status=302), allowed)


# Statuses


def test_not_found_is_final_and_a_server_error_is_not(server: Any, allowed: DownloadSettings) -> None:
    with pytest.raises(DownloadRefused, match="answered 404") as gone:
        fetch(server.url("/nowhere"), allowed)
    assert isinstance(gone.value, PermanentError)
    with pytest.raises(DownloadError, match="answered 502"):
        fetch(server.on("/a", status=502), allowed)


def test_a_busy_server_is_asked_again_when_it_says(server: Any, allowed: DownloadSettings) -> None:
    with pytest.raises(RetryAfter) as busy:
        fetch(server.on("/a", status=429, retry_after=30), allowed)
    assert busy.value.seconds == 30


# Size


def test_a_body_announced_as_too_long_is_refused_before_it_is_read(server: Any, allowed: DownloadSettings) -> None:
    url = server.on_raw("/a", b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
    with pytest.raises(DownloadRefused, match="has 1001 bytes; at most 1000"):
        fetch(url, allowed, max_bytes=1000)


def test_a_body_of_exactly_the_limit_is_accepted(server: Any, allowed: DownloadSettings) -> None:
    assert len(fetch(server.on("/a", body=b"x" * 1000), allowed, max_bytes=1000)) == 1000


def endless(server: Any, piece: bytes, head: str) -> Any:
    def answer(stream: BinaryIO) -> None:
        stream.write(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode())
        while not server.stop.is_set():
            stream.write(piece)

    return answer


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ("", b"x" * 1000),
        ("Transfer-Encoding: chunked\r\n", b"3e8\r\n" + b"x" * 1000 + b"\r\n"),
        ("Content-Encoding: gzip\r\n", gzip.compress(b"x" * 1000)),
    ],
    ids=["plain", "chunked", "gzip"],
)
def test_an_endless_body_is_cut_off_at_the_limit(
    server: Any, allowed: DownloadSettings, head: str, piece: bytes
) -> None:
    with pytest.raises(DownloadRefused, match="longer than 50000 bytes"):
        fetch(server.on_raw("/a", endless(server, piece, head)), allowed, max_bytes=50_000)


def test_an_endless_gzip_body_that_holds_nothing_is_cut_off_too(server: Any, allowed: DownloadSettings) -> None:
    url = server.on_raw("/a", endless(server, gzip.compress(b""), "Content-Encoding: gzip\r\n"))
    with pytest.raises(DownloadRefused, match="longer than 50000 bytes"):
        fetch(url, allowed, max_bytes=50_000)


def test_a_gzip_bomb_is_cut_off_at_the_limit_of_what_comes_out(server: Any, allowed: DownloadSettings) -> None:
    bomb = gzip.compress(bytes(50 * MB))
    assert len(bomb) < MB
    with pytest.raises(DownloadRefused, match="longer than 1000000 bytes"):
        fetch(server.on("/a", body=bomb, content_encoding="gzip"), allowed)


def test_a_body_that_a_store_hands_out_gzipped_all_the_same_is_unpacked(server: Any, allowed: DownloadSettings) -> None:
    content = bytes(range(256)) * 3000
    packed = gzip.compress(content[:1000]) + gzip.compress(content[1000:])
    assert fetch(server.on("/a", body=packed, content_encoding="gzip"), allowed) == content


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip"])
def test_codings_that_were_not_asked_for_are_refused(server: Any, allowed: DownloadSettings, coding: str) -> None:
    with pytest.raises(DownloadRefused, match=coding):
        fetch(server.on("/a", body=b"x", content_encoding=coding), allowed)


def test_a_body_that_is_not_gzip_as_it_says_is_refused(server: Any, allowed: DownloadSettings) -> None:
    with pytest.raises(DownloadRefused, match="not gzip"):
        fetch(server.on("/a", body=zlib.compress(b"x"), content_encoding="gzip"), allowed)


# Lost and lying answers


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwhat?\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello" * 100)[:-12],
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["nothing", "half-head", "half-body", "half-chunks", "bad-chunk", "half-gzip", "two-lengths", "header", "ssh"],
)
def test_a_broken_answer_is_worth_a_retry(server: Any, allowed: DownloadSettings, answer: bytes) -> None:
    with pytest.raises(DownloadError):
        fetch(server.on_raw("/a", answer), allowed)


def test_no_more_than_the_announced_length_is_taken(server: Any, allowed: DownloadSettings) -> None:
    url = server.on_raw("/a", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more")
    assert fetch(url, allowed) == b"hello"


def test_nobody_listening_is_worth_a_retry() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Keeps the port from others, and doesn't listen.
        port = taken.getsockname()[1]
        with pytest.raises(DownloadError, match="refused"):
            fetch(f"http://127.0.0.1:{port}/", DownloadSettings(allow=f"127.0.0.1:{port}"))


# Time


def drip(server: Any, head: bytes, pieces: bytes) -> Any:
    """One byte at a time, each well within any time-out of a single read, without end."""

    def answer(stream: BinaryIO) -> None:
        stream.write(head)
        for byte in itertools.cycle(pieces):
            if server.stop.wait(0.02):
                return
            stream.write(bytes([byte]))

    return answer


@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "chunks", "header", "continue"],
)
def test_a_dripping_answer_ends_at_the_deadline(
    server: Any, allowed: DownloadSettings, head: bytes, pieces: bytes
) -> None:
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"took longer than 0\.3 s"):
        fetch(server.on_raw("/a", drip(server, head, pieces)), allowed, timeout=0.3)
    assert 0.25 < time.monotonic() - start < 2


def test_a_silent_server_ends_at_the_deadline(server: Any, allowed: DownloadSettings) -> None:
    url = server.on_raw("/a", lambda _: server.stop.wait(20))
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"took longer than 0\.2 s"):
        fetch(url, allowed, timeout=0.2)
    assert time.monotonic() - start < 2


def test_redirects_share_one_deadline(server: Any, allowed: DownloadSettings) -> None:
    def slow_redirect(stream: BinaryIO) -> None:
        server.stop.wait(0.15)
        stream.write(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n")

    with pytest.raises(DownloadError, match=r"took longer than 0\.3 s"):
        fetch(server.on_raw("/a", slow_redirect), allowed, timeout=0.3)
    assert len(server.requests) <= 3


def test_messages_do_not_show_the_query(server: Any, allowed: DownloadSettings) -> None:
    with pytest.raises(DownloadError) as failure:
        fetch(server.on("/a", status=500) + "?signature=hunter2", allowed)
    assert "hunter2" not in str(failure.value)
