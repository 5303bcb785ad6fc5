"""Tokens that open the REST API: what each may do, and how they are kept. Only their hashes are.

A token is 256 random bits, so that its SHA-256 can't be turned back by guessing: no salt and no slow hash would add to that. A
line of the file (or of the environment) is `SCOPE:sha256:HEX`; what stands behind a `#` is for people.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_LINE: Final = re.compile(r"(?P<scope>[a-z]+):sha256:(?P<digest>[0-9a-fA-F]{64})")


class Scope(StrEnum):
    """What a token is good for. Each includes those before it."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def covers(self, other: Scope) -> bool:
        """Whether who has this may do what needs the other."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class TokenHash:
    """What is kept of a token."""

    scope: Scope
    digest: bytes

    @classmethod
    def of(cls, token: str, scope: Scope) -> TokenHash:
        """The hash of a token."""
        return cls(scope, hashlib.sha256(token.encode()).digest())

    @property
    def line(self) -> str:
        """As it is written into the file."""
        return f"{self.scope}:sha256:{self.digest.hex()}"


class Keyring:
    """The tokens that are good here."""

    def __init__(self, hashes: Iterable[TokenHash]) -> None:
        self._hashes = tuple(hashes)

    def scope_of(self, token: str) -> Scope | None:
        """What a token is good for; None: nothing. How long it takes says nothing about the tokens that are kept."""
        given = hashlib.sha256(token.encode(errors="replace")).digest()
        best: Scope | None = None
        for one in self._hashes:
            if hmac.compare_digest(one.digest, given) and (best is None or one.scope.covers(best)):
                best = one.scope
        return best


def new_token(scope: Scope) -> tuple[str, TokenHash]:
    """A new token, which is shown once, and what is kept of it."""
    token = "jobyard_" + secrets.token_urlsafe(32)
    return token, TokenHash.of(token, scope)


def parse_hashes(text: str) -> list[TokenHash]:
    """The lines of a file of hashes; in the environment, commas or spaces separate them as well.

    Raises:
        ValueError: names the first that is none, by its number and without showing it: it may be a token by mistake.
    """
    entries = [entry for line in text.splitlines() for entry in re.split(r"[,\s]+", line.partition("#")[0]) if entry]
    found = []
    for number, entry in enumerate(entries, 1):
        match = _LINE.fullmatch(entry)
        if match is None or match["scope"] not in list(Scope):
            raise ValueError(
                f"entry {number} is not {'|'.join(Scope)}:sha256:HEX, as `jobyard serve token create` prints it"
            )
        found.append(TokenHash(Scope(match["scope"]), bytes.fromhex(match["digest"])))
    return found
