"""A mailbox for development: a real SMTP server that delivers nothing and keeps every e-mail as a file.

`jobyard up` runs one, so that nobody gets mail from a machine where something is being tried out.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, Final, Self

from jobyard.jobs.email.server import SmtpServer

_MAX_BYTES: Final = 64 * 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CaughtMail:
    """An e-mail that the mailbox has caught.

    Attributes:
        path: the `.eml` file. Its first lines say whom the envelope named, Bcc recipients among them.
        sender: the envelope's sender.
        recipients: the envelope's recipients.
        subject: decoded.
        size: in bytes, as it came.
    """

    path: Path
    sender: str
    recipients: tuple[str, ...]
    subject: str
    size: int


@dataclass(frozen=True, slots=True)
class MailboxCounts:
    """What a mailbox has caught since it was started: e-mails, their recipients, and bytes."""

    messages: int = 0
    recipients: int = 0
    bytes: int = 0


class Mailbox:
    """Catches all mail that is sent to its port. E-mails from earlier runs stay where they are.

    Args:
        directory: where the `.eml` files go; made if it isn't there.
        host: the address to listen on. Whoever reaches it can fill the disk: leave it on the loopback.
        port: 0: one that the system chooses.
        on_message: called in the server's thread, for each e-mail that is on disk.
    """

    def __init__(
        self,
        directory: Path | str,
        host: str = "127.0.0.1",
        port: int = 0,
        on_message: Callable[[CaughtMail], None] | None = None,
    ) -> None:
        self.directory = Path(directory).absolute()
        self._on_message = on_message
        self._lock = threading.Lock()
        self._counts = MailboxCounts()
        self._server = SmtpServer(self, host=host, port=port, data_size_limit=_MAX_BYTES)

    @property
    def port(self) -> int:
        """The port that it listens on. There is one after `start()`."""
        return self._server.port

    @property
    def counts(self) -> MailboxCounts:
        """What it has caught so far."""
        with self._lock:
            return self._counts

    def start(self) -> Self:
        """Listen, and return when mail is accepted.

        Raises:
            OSError: the directory or the address can't be used.
            JobyardError: aiosmtpd is not installed.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop listening. Every e-mail that was accepted is on disk. Does nothing if it doesn't run."""
        self._server.stop()

    def messages(self) -> list[Path]:
        """The `.eml` files, oldest first, those of earlier runs included."""
        return sorted(self.directory.glob("*.eml"))

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's name)
        """Called by aiosmtpd for each e-mail; the reply goes to the client."""
        try:
            caught = self._keep(envelope.mail_from or "", tuple(envelope.rcpt_tos), envelope.content)
        except OSError as error:
            # A 4xx: the sender keeps the e-mail and tries again.
            logger.error("the mailbox can't write to %s: %s", self.directory, error)
            return "452 4.3.1 The mailbox can't write to its directory"
        if self._on_message is not None:
            try:
                self._on_message(caught)
            except Exception:
                # The e-mail is on disk and accepted, whatever is wrong with what the program does on top.
                logger.exception("the mailbox's on_message failed for %s", caught.path)
        return f"250 2.0.0 Kept as {caught.path.name}"

    def _keep(self, sender: str, recipients: tuple[str, ...], content: bytes) -> CaughtMail:
        envelope = "Return-Path: <{}>\r\nX-Envelope-To: {}\r\n".format(sender, ",\r\n ".join(recipients))
        # The time sorts them; the rest keeps two of one microsecond apart.
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
        path, unfinished = self.directory / f"{name}.eml", self.directory / f".{name}.part"
        try:
            unfinished.write_bytes(envelope.encode("utf-8", "surrogateescape") + content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        with self._lock:
            self._counts = replace(
                self._counts,
                messages=self._counts.messages + 1,
                recipients=self._counts.recipients + len(recipients),
                bytes=self._counts.bytes + len(content),
            )
        headers = BytesHeaderParser(policy=policy.default).parsebytes(content)
        return CaughtMail(path, sender, recipients, str(headers.get("Subject", "")), len(content))
