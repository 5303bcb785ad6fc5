"""Counts the scans of a JPEG: how often its decoder must walk over the whole image.

A progressive JPEG may have any number of scans. One of a hundred bytes costs 30 ms for 64 million pixels, so a file of
one megabyte can keep a worker busy for minutes. Ordinary files have about ten.
"""

from __future__ import annotations

import re
from typing import IO, Final

from jobyard.jobs.images.errors import ImageRefused

MOST_SCANS: Final = 200

# Within compressed data, FF 00 stands for FF, and FF D0 to FF D7 are restart marks; anything else is a marker.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


def check_scans(file: IO[bytes]) -> None:
    """Refuse a JPEG with more than 200 scans. Leaves the file at its start.

    Raises:
        ImageRefused: says how many there may be.
    """
    file.seek(0)
    data = file.read()
    file.seek(0)
    # The quick count is at least the true one, and nearly always decides. What it finds too many lies in thumbnails, or
    # behind the image, where phones put a video.
    if data.count(b"\xff\xda") > MOST_SCANS and count_scans(data) > MOST_SCANS:
        raise ImageRefused(f"a JPEG of more than {MOST_SCANS} scans; ordinary ones have about ten")


def count_scans(data: bytes) -> int:
    """How many scans there are before the end of the image."""
    scans = 0
    position = 2
    while (marker := _MARKER.search(data, position)) is not None:
        code = marker[1][0]
        if code == _END_OF_IMAGE:
            break
        scans += code == _START_OF_SCAN
        # Every other marker is followed by the length of its segment, which counts its own two bytes.
        position = marker.end() + max(2, int.from_bytes(data[marker.end() : marker.end() + 2], "big"))
    return scans
