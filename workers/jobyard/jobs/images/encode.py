"""Writes results: the settings of each format's encoder."""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image, __version__, features

from jobyard.jobs.images.errors import ImageRefused
from jobyard.jobs.images.formats import LONGEST_SIDE, READABLE, OutputFormat

_QUALITY: dict[OutputFormat, int] = {"jpg": 80, "webp": 80, "avif": 60}


def check_can_encode(output: OutputFormat) -> None:
    """Refuse a format that this build of Pillow can't write.

    Raises:
        ImageRefused: says what to install.
    """
    if output in ("webp", "avif") and not features.check(output):
        raise ImageRefused(
            f"this worker's Pillow ({__version__}) was built without {output}; "
            "install the official wheel of Pillow 11.3 or later, or ask for another format"
        )


def check_side(size: tuple[int, int], output: OutputFormat) -> None:
    """Refuse a size that the format can't hold.

    Raises:
        ImageRefused: says what it can hold.
    """
    if max(size) > LONGEST_SIDE[output]:
        raise ImageRefused(
            f"the result would have {size[0]} × {size[1]} pixels; "
            f"{output} holds at most {LONGEST_SIDE[output]} on a side: ask for a smaller size or another format"
        )


def encode(image: Image.Image, file: BinaryIO, output: OutputFormat, quality: int | None) -> int:
    """Write `image` (L, LA, RGB or RGBA, without metadata) from the start of `file`; returns the number of bytes.

    Args:
        quality: 1 to 100; None: 80 for jpg and webp, 60 for avif. No meaning for png.
    """
    quality = quality or _QUALITY.get(output)
    match output:
        case "jpg":
            _encode_jpg(image, file, quality)
        case "png":
            image.save(file, READABLE[output])
        case "webp" | "avif":
            image.save(file, READABLE[output], quality=quality)
    return file.seek(0, 2)


def _encode_jpg(image: Image.Image, file: BinaryIO, quality: int | None) -> None:
    # Colours at half the resolution are hardly seen, except in the sharp edges that a high quality is asked for.
    subsampling = "4:4:4" if quality is not None and quality >= 90 else "4:2:0"
    try:
        image.save(file, "JPEG", quality=quality, subsampling=subsampling, progressive=True)
    except OSError:
        # Pillow guesses how large a progressive JPEG can become, too small for pure noise; a plain one needs no guess.
        # If the disk was the reason, it fails again.
        file.seek(0)
        file.truncate()
        image.save(file, "JPEG", quality=quality, subsampling=subsampling)
