"""Writes header fields: encoded by RFC 2047 where that is needed, and folded.

The standard library's own folding (`email.policy.EmailPolicy`) has had faults that depend on the Python version: commas
between addresses encoded away, spaces lost between encoded words, long Message-IDs broken. Here a field is folded
only where it surely may be: between addresses, and by `email.header.Header` in a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.header import Header
from email.policy import SMTP, EmailPolicy
from typing import Any, Final

from jobyard.jobs.email.address import Address
from jobyard.jobs.email.text import is_one_line

_LINE: Final = 76
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")


class EncodedHeader(str):
    """The finished value of a header field, as it goes over the wire: its line breaks are followed by a space."""

    __slots__ = ()

    def __new__(cls, value: str) -> EncodedHeader:
        if re.search(r"\r(?!\n)|(?<!\r)\n|\r\n(?! )", value):
            raise ValueError("a header field would end too early")
        return super().__new__(cls, value)


class MailPolicy(EmailPolicy):
    """`email.policy.SMTP`, except that an `EncodedHeader` is written as it is."""

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        if isinstance(value, EncodedHeader):
            return name, value
        return super().header_store_parse(name, value)

    def fold_binary(self, name: str, value: Any) -> bytes:
        if isinstance(value, EncodedHeader):
            return f"{name}: {value}\r\n".encode()
        return super().fold_binary(name, value)


# 7bit: text is sent as base64 or quoted-printable, which every server and relay passes on as it is.
POLICY: Final = MailPolicy(linesep=SMTP.linesep, cte_type="7bit")


def text_header(name: str, text: str) -> EncodedHeader:
    """The value of an unstructured field (`Subject`)."""
    _check(name, text)
    charset = "us-ascii" if text.isascii() and "=?" not in text else "utf-8"
    return EncodedHeader(Header(text, charset, maxlinelen=_LINE, header_name=name).encode(linesep="\r\n"))


def address_header(name: str, addresses: Iterable[Address]) -> EncodedHeader:
    """The value of a field of addresses (`To`), one to a line."""
    return EncodedHeader(",\r\n ".join(_mailbox(name, address) for address in addresses))


def id_header(name: str, value: str) -> EncodedHeader:
    """The value of `Message-ID`, which must never be broken."""
    _check(name, value)
    return EncodedHeader(value)


def _mailbox(header: str, address: Address) -> str:
    _check(header, address.name)
    _check(header, address.spec)
    if not address.name:
        return address.spec
    if not address.name.isascii() or "=?" in address.name:
        # The name of the field only tells how much room the first line has.
        shown = Header(address.name, "utf-8", maxlinelen=_LINE, header_name=header).encode(linesep="\r\n")
    elif _PLAIN_NAME.fullmatch(address.name):
        shown = address.name
    else:
        shown = '"' + re.sub(r'(["\\])', r"\\\1", address.name) + '"'
    return f"{shown} <{address.spec}>"


def _check(name: str, text: str) -> None:
    if not is_one_line(text):
        raise ValueError(f"{name}: control characters and line breaks are not allowed in a header")
