"""Reads images that anybody may have made: formats, sizes and damage are checked before pixels cost memory.

Only the first frame of an animation is ever decoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from PIL import ExifTags, Image, JpegImagePlugin, UnidentifiedImageError

from jobyard.jobs.images.errors import ImageRefused
from jobyard.jobs.images.formats import READABLE
from jobyard.jobs.images.jpeg_scans import check_scans
from jobyard.jobs.images.settings import ImageSettings

# How much larger than needed a JPEG is decoded, so that the last step, a good filter, decides how it looks.
_DRAFT_GAP = 2.0


def open_image(file: IO[bytes], settings: ImageSettings, hint: str = "") -> Image.Image:
    """Read the head of an image: its format and size. Pixels are not decoded.

    Args:
        hint: what the sender says that the file is, for the message if it isn't.

    Raises:
        ImageRefused: not one of the accepted formats, damaged, or too many pixels.
    """
    _lift_pillows_limit(settings.max_pixels)
    try:
        with refusing_damage():
            image = Image.open(file, formats=[READABLE[name] for name in settings.readable])
    except UnidentifiedImageError:
        said = f" (the sender says {hint[:80]!r})" if hint else ""
        raise ImageRefused(f"not a whole image in an accepted format: {', '.join(settings.readable)}{said}") from None
    check_pixels(image.size, settings.max_pixels, "the image")
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        check_scans(file)
    return image


def check_pixels(size: tuple[int, int], max_pixels: int, what: str) -> None:
    """Refuse what has too many pixels.

    Raises:
        ImageRefused: says how many there are and how many may be.
    """
    wide, high = size
    if wide * high > max_pixels:
        raise ImageRefused(
            f"{what} has {wide} × {high} pixels; at most {max_pixels} are accepted (JOBYARD_IMAGE_MAX_PIXELS)"
        )


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none that makes sense. To be asked before `load`.

    Raises:
        ImageRefused: the data is damaged or ends too early. Other formats than JPEG are decoded here, since a PNG may
            name its orientation behind its pixels, and a TIFF is turned by Pillow while it is decoded.
    """
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        with refusing_damage():
            image.load()
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - Pillow raises anything on damaged EXIF, which is harmless
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def load(image: Image.Image, needed: tuple[float, float]) -> None:
    """Decode the pixels. A JPEG is decoded at a half, a quarter or an eighth of its size if that is enough.

    Args:
        needed: the size in pixels that the whole image will be scaled to.

    Raises:
        ImageRefused: the data is damaged or ends too early.
    """
    with refusing_damage():
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            image.draft(None, (math.ceil(needed[0] * _DRAFT_GAP), math.ceil(needed[1] * _DRAFT_GAP)))
        image.load()


@contextmanager
def refusing_damage() -> Iterator[None]:
    """Turn what Pillow raises on damaged or malicious data into `ImageRefused`."""
    try:
        yield
    except (ImageRefused, UnidentifiedImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRefused(f"too many pixels: {error}") from error
    # Pillow's readers raise OSError, ValueError, SyntaxError, struct.error, KeyError and more, as the damage has it.
    except Exception as error:
        raise ImageRefused(f"the image is damaged: {error or type(error).__name__}") from error


def _lift_pillows_limit(max_pixels: int) -> None:
    # Pillow has a limit of its own for the whole process. It is raised if the settings want more, never lowered: other
    # code in the process may rely on it. What the settings allow is checked by `check_pixels`.
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
