"""Reads e-mail addresses as people write them: `ada@example.org`, `Ada <ada@example.org>`, `ada@bücher.example`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from jobyard.jobs.email.text import is_one_line

MAX_NAME: Final = 200
# RFC 5321, section 4.5.3.1; the 254 follow from the 256 that a path with its brackets may have.
_MAX_LOCAL_BYTES: Final = 64
_MAX_ADDRESS_BYTES: Final = 254

# A dot-atom of RFC 5322, with the non-ASCII characters that RFC 6531 adds.
_ATOM: Final = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\x7f])+"
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

# IDNA 2003, which the standard library speaks, turns these into other letters: straße.example would become
# strasse.example, which may belong to somebody else.
_AMBIGUOUS: Final = frozenset("ßẞς\u200c\u200d")


class AddressError(ValueError):
    """This is not an e-mail address that mail can be sent to; the message says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox.

    Attributes:
        name: the display name, or "".
        local: what stands before the @; may hold non-ASCII letters, which only servers with SMTPUTF8 accept.
        domain: in its ASCII form (`xn--bcher-kva.example`), in lower case.
    """

    name: str
    local: str
    domain: str

    @property
    def spec(self) -> str:
        """`local@domain`, as the SMTP dialogue uses it."""
        return f"{self.local}@{self.domain}"

    @property
    def needs_utf8(self) -> bool:
        """Whether only a server with SMTPUTF8 can handle the address."""
        return not self.local.isascii()


def parse_address(text: str) -> Address:
    """The mailbox that `text` names.

    Raises:
        AddressError: it names none, or several.
    """
    if not is_one_line(text):
        raise AddressError("control characters and line breaks are not allowed in an address")
    text = text.strip()
    name, spec = "", text
    if text.endswith(">"):
        shown, bracket, spec = text[:-1].rpartition("<")
        if not bracket:
            raise AddressError("has a '>' without a '<'")
        name = _display_name(shown.strip())
    elif any(separator in text for separator in ",;"):
        raise AddressError("looks like several addresses in one text; give a list of addresses")
    local, at, domain = spec.strip().rpartition("@")
    if not at:
        raise AddressError("an address has the form name@domain; there is no '@'")
    local = _local_part(local)
    domain = _ascii_domain(domain)
    if len(f"{local}@{domain}".encode()) > _MAX_ADDRESS_BYTES:
        raise AddressError(f"the address is longer than {_MAX_ADDRESS_BYTES} bytes")
    return Address(name, local, domain)


def _display_name(shown: str) -> str:
    if len(shown) >= 2 and shown.startswith('"') and shown.endswith('"'):
        if not re.fullmatch(r'(?:[^"\\]|\\.)*', shown[1:-1]):
            raise AddressError('quotes in a display name must be written as \\"')
        shown = re.sub(r"\\(.)", r"\1", shown[1:-1])
    elif any(character in shown for character in '"<>,;'):
        # A comma here usually means that somebody joined several addresses. All but the last would be lost.
        raise AddressError('put a display name with one of " < > , ; into quotes; give several addresses as a list')
    if len(shown) > MAX_NAME:
        raise AddressError(f"the display name is longer than {MAX_NAME} characters")
    return shown.strip()


def _local_part(local: str) -> str:
    if not local:
        raise AddressError("there is nothing before the '@'")
    if local.startswith('"'):
        raise AddressError("quoted names before the '@' are not supported")
    if not _LOCAL.fullmatch(local) or not all(
        character.isprintable() and not character.isspace() for character in local
    ):
        raise AddressError("what stands before the '@' has a character or a dot that can't be there")
    if len(local.encode()) > _MAX_LOCAL_BYTES:
        raise AddressError(f"what stands before the '@' is longer than {_MAX_LOCAL_BYTES} bytes")
    return local


def _ascii_domain(domain: str) -> str:
    if not domain:
        raise AddressError("there is no domain behind the '@'")
    if domain.startswith("["):
        raise AddressError("IP addresses behind the '@' are not supported; give a domain")
    if len(domain) > 253:
        raise AddressError("the domain is longer than 253 characters")
    ambiguous = _AMBIGUOUS.intersection(domain)
    if ambiguous:
        shown = ", ".join(sorted(ascii(character) for character in ambiguous))
        raise AddressError(f"the domain contains {shown}, which mail systems read differently; give its xn--… form")
    try:
        encoded = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise AddressError(
            "the domain can't exist: a part is empty, too long, or has a character that can't be there"
        ) from None
    labels = encoded.split(".")
    if len(encoded) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressError("the domain can't exist: a part is empty, too long, or has a character that can't be there")
    if labels[-1].isdigit():
        raise AddressError("IP addresses behind the '@' are not supported; give a domain")
    return encoded
