"""Names that resolve to more than one address, to another address each time, slowly, or not at all.

`socket.getaddrinfo` is replaced: no name server lies on demand.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from jobyard.jobs.download import DownloadError, DownloadRefused, DownloadSettings, download


def answers(*addresses: str) -> Any:
    """What `getaddrinfo` gives for these addresses."""

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]

    return getaddrinfo


def test_a_name_with_public_and_private_addresses_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("93.184.216.34", "10.0.0.1"))
    with (
        pytest.raises(DownloadRefused, match=r"mixed.test \(10.0.0.1\) is not a public address"),
        download("http://mixed.test/", max_bytes=9, timeout=5),
    ):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:192.168.0.1", "fe80::1"])
def test_a_name_that_leads_inside_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers(address))
    with pytest.raises(DownloadRefused), download("http://inside.test/", max_bytes=9, timeout=5):
        pass


def test_a_name_is_asked_once_so_that_a_changed_answer_leads_nowhere(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the first answer passes the check, the second would lead to the secret server."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        asked.append(host)
        return answers("127.0.0.1" if len(asked) == 1 else "127.0.0.2")(host, port)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    server.on("/a", body=b"x")
    settings = DownloadSettings(allow=f"127.0.0.1/32:{server.port}")
    with download(f"http://rebind.test:{server.port}/a", max_bytes=9, timeout=5, settings=settings) as body:
        assert body.size == 1
    assert asked == ["rebind.test"]
    [(_, headers)] = server.requests
    assert headers["Host"] == f"rebind.test:{server.port}"


def test_each_redirect_is_looked_up_and_checked_anew(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same name, allowed on the first hop by its address, leads elsewhere on the second."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        asked.append(host)
        return answers("127.0.0.1" if len(asked) == 1 else "10.0.0.1")(host, port)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    server.on("/a", status=302, location="/b")
    settings = DownloadSettings(allow=f"127.0.0.1/32:{server.port}")
    with (
        pytest.raises(DownloadRefused, match=r"rebind.test \(10.0.0.1\)"),
        download(f"http://rebind.test:{server.port}/a", max_bytes=9, timeout=5, settings=settings),
    ):
        pass
    assert len(asked) == 2


def test_the_next_address_is_tried_when_one_does_not_answer(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("127.0.0.9", "127.0.0.1"))
    server.on("/a", body=b"x")
    settings = DownloadSettings(allow=f"127.0.0.0/8:{server.port}")
    with download(f"http://two.test:{server.port}/a", max_bytes=9, timeout=5, settings=settings) as body:
        assert body.size == 1


def test_an_allowed_name_is_reached_though_its_address_is_private(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("127.0.0.1"))
    server.on("/a", body=b"x")
    settings = DownloadSettings(allow=f"images.internal:{server.port}")
    with download(f"http://Images.Internal.:{server.port}/a", max_bytes=9, timeout=5, settings=settings) as body:
        assert body.size == 1
    with pytest.raises(DownloadRefused), download(server.url("/a"), max_bytes=9, timeout=5, settings=settings):
        pass


def test_a_name_that_does_not_resolve_is_worth_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with (
        pytest.raises(DownloadError, match=r"http://nowhere.test/a: the host name does not resolve: Name or service"),
        download("http://nowhere.test/a?sig=1", max_bytes=9, timeout=5),
    ):
        pass


def test_a_name_that_no_resolver_takes_is_worth_a_retry() -> None:
    with pytest.raises(DownloadError, match="does not resolve"), download("http://a..b/", max_bytes=9, timeout=5):
        pass


def test_a_name_server_that_does_not_answer_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        over.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    start = time.monotonic()
    try:
        with (
            pytest.raises(DownloadError, match=r"took longer than 0\.2 s"),
            download("http://slow.test/", max_bytes=9, timeout=0.2),
        ):
            pass
        assert time.monotonic() - start < 2
    finally:
        over.set()


def test_a_name_without_an_address_is_worth_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers())
    with (
        pytest.raises(DownloadError, match="no address"),
        download("http://empty.test/", max_bytes=9, timeout=5),
    ):
        pass
