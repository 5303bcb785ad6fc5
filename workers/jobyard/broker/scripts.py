"""The Lua scripts: found by name, put together from `lua/` and `lua/include/`, and packed for the wire."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final

_include: Final = re.compile(r"^--@include (\w+)\n", re.MULTILINE)

Argument = bytes | str | int


class Script:
    """One script: its text and the SHA-1 by which the server knows it.

    Attributes:
        name: the file's name without `.lua`; it says which move of a job the script makes.
        text: the whole text, with what it includes.
        sha: hexadecimal SHA-1 of the text.
    """

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = _include.sub(lambda match: _read(f"include/{match[1]}.lua"), _read(f"{name}.lua")).encode()
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()

    def packed(self, keys: Iterable[bytes], arguments: Iterable[Argument], *, by_text: bool = False) -> bytes:
        """The script's call as a RESP request."""
        all_keys = tuple(keys)
        head: tuple[Argument, ...] = (b"EVAL", self.text) if by_text else (b"EVALSHA", self.sha)
        return pack((*head, len(all_keys), *all_keys, *arguments))


def pack(parts: Iterable[Argument]) -> bytes:
    """A command as a RESP array of bulk strings. (redis-py's own packer is general, and several times slower.)"""
    out = [b""]
    for part in parts:
        data = part if type(part) is bytes else str(part).encode()
        out.append(b"$%d\r\n%b\r\n" % (len(data), data))
    out[0] = b"*%d\r\n" % (len(out) - 1)
    return b"".join(out)


@cache
def script(name: str) -> Script:
    """The script of that name."""
    return Script(name)


def _read(path: str) -> str:
    return files("jobyard.broker").joinpath("lua", path).read_text(encoding="utf-8")
