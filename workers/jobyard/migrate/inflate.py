"""zlib, with an end: a few bytes can be made to unpack to any amount."""

from __future__ import annotations

import zlib
from typing import Final

LARGEST: Final = 64 * 1024 * 1024


def inflate(data: bytes) -> bytes:
    """What was compressed.

    Raises:
        ValueError: it is not zlib, is cut off, or unpacks to more than 64 MiB.
    """
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(data, LARGEST)
    except zlib.error as error:
        raise ValueError(f"not zlib: {error}") from None
    if not unpacker.eof:
        raise ValueError("cut off, or larger than 64 MiB")
    return found
