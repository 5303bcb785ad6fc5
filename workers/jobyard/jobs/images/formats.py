"""The image formats by the names that payloads, settings and results use, and what Pillow calls them."""

from __future__ import annotations

from typing import Final, Literal

OutputFormat = Literal["jpg", "png", "webp", "avif"]

# Formats that can be read. A phone's "MPO" is a JPEG with further pictures behind the first.
READABLE: Final[dict[str, str]] = {
    "jpg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "avif": "AVIF",
    "gif": "GIF",
    "bmp": "BMP",
    "tiff": "TIFF",
}
_NAMES: Final = {pillow: name for name, pillow in READABLE.items()} | {"MPO": "jpg"}

# The longest side that each format, or its encoder, can hold.
LONGEST_SIDE: Final[dict[OutputFormat, int]] = {"jpg": 65_500, "png": 65_535, "webp": 16_383, "avif": 16_384}

WITHOUT_ALPHA: Final[frozenset[OutputFormat]] = frozenset({"jpg"})


def name_of(pillow: str | None) -> str:
    """Our name for what Pillow's `Image.format` says."""
    return _NAMES[pillow or ""]


def default_output(source: str) -> OutputFormat:
    """What an image is written as when nobody says: as it came, or PNG where that is not a format for the web."""
    match source:
        case "jpg" | "webp" | "avif":
            return source
        case _:
            return "png"
