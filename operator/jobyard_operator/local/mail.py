"""The mailbox of a yard: catches all mail, so that nobody gets any, and knows which file holds which e-mail."""

from __future__ import annotations

import threading
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, Final

from jobyard.jobs.email.mailbox import CaughtMail, Mailbox

#: No name ends in this (RFC 2606): the way to try out what happens to an e-mail that can never arrive.
REFUSED_DOMAIN: Final = ".invalid"

_KEPT: Final = 10_000


class YardMailbox(Mailbox):
    """A mailbox that refuses recipients whose domain ends in `.invalid`, for good.

    Args:
        directory: where the `.eml` files go.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, on_message=self._remember)
        self._paths: dict[str, Path] = {}
        self._paths_lock = threading.Lock()

    def file_of(self, message_id: str) -> Path | None:
        """The file of an e-mail that was caught since the start."""
        with self._paths_lock:
            return self._paths.get(message_id)

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Called by aiosmtpd for each recipient; the reply goes to the client."""
        if address.rpartition("@")[2].lower().endswith(REFUSED_DOMAIN):
            return f"550 5.1.2 <{address}>: no domain ends in {REFUSED_DOMAIN}"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    def _remember(self, caught: CaughtMail) -> None:
        with caught.path.open("rb") as file:
            message_id = str(BytesHeaderParser(policy=policy.default).parse(file).get("Message-ID", ""))
        with self._paths_lock:
            if len(self._paths) >= _KEPT:
                self._paths.pop(next(iter(self._paths)))
            self._paths[message_id] = caught.path
