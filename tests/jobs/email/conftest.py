"""A real SMTP server in the test process, which can be told to refuse, to put off, to hang up and to be slow."""

# ruff: noqa: N802 (aiosmtpd prescribes the names of a handler's methods)

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jobyard import context
from jobyard.jobs.email import close_connections
from jobyard.jobs.email.server import SmtpServer


@dataclass
class Rule:
    """What the server does at a command: reply so, or hang up (None), if the address fits, so many times."""

    command: str
    reply: str | None
    address: str | None
    times: int | None
    delay: float


@dataclass
class Received:
    """An e-mail that the server has accepted."""

    sender: str
    recipients: list[str]
    content: bytes
    options: list[str]
    client_port: int

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)


@dataclass
class Handler:
    rules: list[Rule] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    async def _act(self, server: Any, command: str, address: str | None) -> str | None:
        """The reply of the first rule that fits; None: the usual one."""
        self.commands.append(command if address is None else f"{command} {address}")
        for rule in self.rules:
            if rule.command != command or rule.times == 0 or rule.address not in (None, address):
                continue
            if rule.times is not None:
                rule.times -= 1
            await asyncio.sleep(rule.delay)
            if rule.reply is None:
                server.transport.abort()
                return "250 never seen"
            if rule.reply.startswith("421"):
                # RFC 5321: a server that says 421 closes the connection. The reply goes out before.
                asyncio.get_running_loop().call_soon(lambda: server.transport and server.transport.close())
            return rule.reply
        return None

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        reply = await self._act(server, "MAIL", address)
        if reply is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return reply or "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        reply = await self._act(server, "RCPT", address)
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        reply = await self._act(server, "DATA", None)
        if reply is None:
            self.received.append(
                Received(
                    envelope.mail_from,
                    list(envelope.rcpt_tos),
                    envelope.content,
                    list(envelope.mail_options),
                    session.peer[1],
                )
            )
        return reply or "250 OK"

    async def handle_RSET(self, server: Any, session: Any, envelope: Any) -> str:
        return await self._act(server, "RSET", None) or "250 OK"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:
        return await self._act(server, "QUIT", None) or "221 Bye"


class Server:
    """An SMTP server that a test talks to."""

    def __init__(self, **options: Any) -> None:
        self.handler = Handler()
        self.smtp = SmtpServer(self.handler, **options)

    @property
    def port(self) -> int:
        return self.smtp.port

    @property
    def received(self) -> list[Received]:
        return self.handler.received

    @property
    def connections(self) -> int:
        return self.smtp.connections

    @property
    def commands(self) -> list[str]:
        return self.handler.commands

    def answer(
        self, command: str, reply: str, *, address: str | None = None, times: int | None = None, delay: float = 0
    ) -> None:
        """Reply so at `command` from now on, or so many times."""
        self.handler.rules.append(Rule(command, reply, address, times, delay))

    def drop(self, command: str, *, times: int | None = None) -> None:
        """Hang up at `command` without a word."""
        self.handler.rules.append(Rule(command, None, None, times, 0))

    def relent(self) -> None:
        """Take everything again."""
        self.handler.rules.clear()


StartServer = Callable[..., Server]


@pytest.fixture(autouse=True)
def _fresh_connections() -> Iterator[None]:
    close_connections()
    yield
    close_connections()


@pytest.fixture
def start_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StartServer]:
    """Start a server, and let the settings name it. `security` and `settings` are ours, the rest goes to aiosmtpd."""
    servers: list[Server] = []

    def start(*, security: str = "none", settings: dict[str, str] | None = None, **options: Any) -> Server:
        server = Server(**options)
        server.smtp.start()
        servers.append(server)
        for name, value in {
            "HOST": "127.0.0.1",
            "PORT": str(server.port),
            "SECURITY": security,
            "FROM_ADDRESS": "Shop <shop@example.org>",
            "TIMEOUT": "5",
            # Otherwise the DNS would be asked for the full name of this machine.
            "HELO_NAME": "client.example.org",
            **(settings or {}),
        }.items():
            monkeypatch.setenv(f"JOBYARD_SMTP_{name}", value)
        close_connections()
        return server

    yield start
    # Connections first: what is left on a server that is gone would have to be waited for.
    close_connections()
    for server in servers:
        server.smtp.stop()


@pytest.fixture
def server(start_server: StartServer) -> Server:
    return start_server()


@dataclass
class Job:
    """What `current_job()` is in a worker."""

    id: str
    queue: str = "emails"
    actor: str = "send_email"
    attempt: int = 1
    cancelled: bool = False

    def report_progress(self, percent: float, message: str, counts: dict[str, float]) -> None: ...


InJob = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def in_job() -> InJob:
    """`with in_job("id", attempt=2):` what runs in the block runs in this job."""

    @contextmanager
    def enter(job_id: str, attempt: int = 1) -> Iterator[None]:
        token = context.enter(Job(job_id, attempt=attempt))
        try:
            yield
        finally:
            context.leave(token)

    return enter


def wait_until(what: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until


@dataclass(frozen=True)
class Certificates:
    """An authority (`ca`), and a server's key and certificate that it has signed."""

    ca: Path
    context: ssl.SSLContext


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """For a server on 127.0.0.1."""
    directory = tmp_path_factory.mktemp("certificates")
    return make_certificates(directory, [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


@pytest.fixture(scope="session")
def certificates_of_another_host(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"), [x509.DNSName("other.example.org")])


def make_certificates(directory: Path, names: list[x509.GeneralName]) -> Certificates:
    now = datetime.now(UTC)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])

    def builder(subject: x509.Name, public_key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )

    ca = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(ca_key, hashes.SHA256())
    )
    certificate = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")]), key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    ca_file, chain, key_file = directory / "ca.pem", directory / "cert.pem", directory / "key.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(chain, key_file)
    return Certificates(ca_file, server_context)
