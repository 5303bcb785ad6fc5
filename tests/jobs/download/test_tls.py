"""HTTPS: the certificate is checked against the host name, though the connection is made to a checked address."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import time
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jobyard.jobs.download import DownloadError, DownloadRefused, DownloadSettings, download


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for images.test that signs itself, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "images.test")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("images.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "images.test.pem"
    file.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.fixture
def tls_server(server: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The test's server behind TLS. Every name resolves to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.names = []
    context.sni_callback = lambda _, name, __: server.names.append(name)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda _, port, *args, **options: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))],
    )
    return server


@pytest.fixture
def trusting(tls_server: Any, certificate: Path) -> DownloadSettings:
    return DownloadSettings(allow=f"127.0.0.1/32:{tls_server.port}", ca_file=certificate)


def fetch(host: str, server: Any, settings: DownloadSettings, timeout: float = 5) -> bytes:
    with download(f"https://{host}:{server.port}/a", max_bytes=99, timeout=timeout, settings=settings) as body:
        return body.file.read()


def test_server_name_and_certificate_check_stay_on_the_host_name(tls_server: Any, trusting: DownloadSettings) -> None:
    tls_server.on("/a", body=b"safe")
    assert fetch("images.test", tls_server, trusting) == b"safe"
    assert tls_server.names == ["images.test"]


def test_a_certificate_for_another_name_is_refused(tls_server: Any, trusting: DownloadSettings) -> None:
    with pytest.raises(DownloadRefused, match="certificate does not hold: Hostname mismatch"):
        fetch("other.test", tls_server, trusting)
    assert tls_server.requests == []


def test_an_address_in_the_url_is_checked_against_the_certificate_too(
    tls_server: Any, trusting: DownloadSettings
) -> None:
    tls_server.on("/a", body=b"safe")
    assert fetch("127.0.0.1", tls_server, trusting) == b"safe"


def test_an_authority_that_nobody_trusts_is_refused(tls_server: Any) -> None:
    settings = DownloadSettings(allow=f"127.0.0.1/32:{tls_server.port}")
    with pytest.raises(DownloadRefused, match=r"certificate does not hold.*JOBYARD_DOWNLOAD_CA_FILE"):
        fetch("images.test", tls_server, settings)


def test_a_redirect_from_https_is_checked_like_any_other(tls_server: Any, trusting: DownloadSettings) -> None:
    tls_server.on("/a", status=302, location="https://other.test/b")
    with pytest.raises(DownloadRefused, match="not a public address"):
        fetch("images.test", tls_server, trusting)


def test_a_dripping_answer_over_tls_ends_at_the_deadline(tls_server: Any, trusting: DownloadSettings) -> None:
    def drip(stream: BinaryIO) -> None:
        stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n")
        while not tls_server.stop.wait(0.02):
            stream.write(b"x")

    tls_server.on_raw("/a", drip)
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"took longer than 0\.3 s"):
        fetch("images.test", tls_server, trusting, timeout=0.3)
    assert time.monotonic() - start < 2


def test_a_handshake_that_never_ends_is_cut_off_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # The kernel accepts; nobody answers.
        port = silent.getsockname()[1]
        settings = DownloadSettings(allow=f"127.0.0.1:{port}")
        start = time.monotonic()
        with (
            pytest.raises(DownloadError, match=r"took longer than 0\.2 s"),
            download(f"https://127.0.0.1:{port}/", max_bytes=9, timeout=0.2, settings=settings),
        ):
            pass
        assert time.monotonic() - start < 2


def test_plain_http_behind_an_https_url_is_worth_a_retry(server: Any, allowed: DownloadSettings) -> None:
    with pytest.raises(DownloadError):
        fetch("127.0.0.1", server, allowed)
