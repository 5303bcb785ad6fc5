"""A mail server's reply: three digits and a text."""

from __future__ import annotations

from dataclasses import dataclass

from jobyard.jobs.email.text import one_line


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, its text made fit for one line of a log. `str(reply)` is `550 5.1.1 No such user`."""

    code: int
    text: str

    @classmethod
    def of(cls, code: int, text: bytes | str) -> Reply:
        """From what smtplib gives."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        return cls(code, one_line(text))

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()

    @property
    def accepted(self) -> bool:
        return 200 <= self.code < 300

    @property
    def final(self) -> bool:
        """A refusal for good. 552 5.5.3, "too many recipients" of old, is none (RFC 5321, section 4.5.3.1.10)."""
        return 500 <= self.code < 600 and not self.too_many_recipients

    @property
    def temporary(self) -> bool:
        return 400 <= self.code < 500 or self.too_many_recipients

    @property
    def closing(self) -> bool:
        """421: the server hangs up."""
        return self.code == 421

    @property
    def too_many_recipients(self) -> bool:
        """The server takes the recipients before this one; the rest shall come in another transaction."""
        return self.code == 452 or (self.code == 552 and self.text.startswith("5.5.3"))
