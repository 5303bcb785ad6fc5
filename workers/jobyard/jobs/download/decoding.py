"""Content codings. Bodies are asked for as they are; what a server compresses all the same is unpacked step by step."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from jobyard.jobs.download.errors import DownloadError, DownloadRefused

_STEP = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS


def decode(chunks: Iterable[bytes], coding: str, where: str) -> Iterator[bytes]:
    """The body's bytes. Each piece has at most 256 KiB, or is a chunk as it came.

    Some stores hand out gzip whatever is asked for, since the object was stored so.

    Raises:
        DownloadRefused: the coding is neither gzip nor none, or the data is not gzip.
        DownloadError: the data ends too early.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return iter(chunks)
    if coding in ("gzip", "x-gzip"):
        return _gunzip(chunks, where)
    raise DownloadRefused(f"{where} answered with Content-Encoding {coding[:40]!r}, although none was asked for")


def _gunzip(chunks: Iterable[bytes], where: str) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    for chunk in chunks:
        rest = chunk
        while rest:
            if unpacker.eof:  # A gzip file may consist of several members.
                unpacker = zlib.decompressobj(_GZIP)
            try:
                yield unpacker.decompress(rest, _STEP)
            except zlib.error as error:
                raise DownloadRefused(f"{where} sent a body that is not gzip, as it says: {error}") from None
            rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    yield unpacker.flush()
    if not unpacker.eof:
        raise DownloadError(f"{where} sent a gzip body that ends too early")
