"""Brings images into the few pixel modes that are worked in, and into the sRGB colour space.

Results carry no colour profile, which everywhere means sRGB. So an embedded profile is applied, not kept: the image
looks right also where profiles are ignored, is some kilobytes smaller, and does not tell which device made it.
"""

from __future__ import annotations

import io

from PIL import Image, ImageCms

from jobyard.jobs.images.errors import ImageRefused

_SPACES = {"L": "GRAY", "LA": "GRAY", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}


def to_working_mode(image: Image.Image) -> Image.Image:
    """The image as L, LA, RGB, RGBA or CMYK, 8 bits a channel, its transparency in a channel.

    Raises:
        ImageRefused: samples that have no agreed meaning (32-bit integers, floating point).
    """
    mode, transparent = image.mode, image.has_transparency_data
    if mode in ("LA", "RGBA", "CMYK") or (mode in ("L", "RGB") and not transparent):
        return image
    if mode.startswith("I;16") or (mode == "I" and image.format == "PNG"):
        # A plain conversion would cut off at 255 instead of taking the upper byte.
        native = image if mode in ("I", "I;16") else image.convert("I")
        return native.point(lambda value: value * (1 / 256)).convert("L")
    if mode in ("1", "L", "La"):
        return image.convert("LA" if transparent else "L")
    if mode in ("P", "PA", "RGB", "RGBa", "RGBX", "YCbCr", "HSV"):
        return image.convert("RGBA" if transparent else "RGB")
    raise ImageRefused(f"images of Pillow's mode {mode!r} are not supported; 8 or 16 bits a channel are")


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image as L, LA, RGB or RGBA in sRGB.

    Args:
        image: in one of the modes of `to_working_mode`.
        profile: the ICC profile that it came with. One that is damaged or of another kind than the image is ignored, as
            browsers do.
    """
    if profile:
        try:
            converted = _apply(image, profile)
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB") if image.mode == "CMYK" else image


def _apply(image: Image.Image, profile: bytes) -> Image.Image | None:
    embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if embedded.profile.xcolor_space.strip() != _SPACES[image.mode]:
        return None
    if (embedded.profile.profile_description or "").startswith("sRGB"):
        return image
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image.convert(image.mode.removesuffix("A")) if alpha is not None else image
    converted = ImageCms.profileToProfile(
        colours,
        embedded,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None  # Only in-place conversion gives None.
    if colours.mode == "L":
        converted = converted.convert("L")
    if alpha is not None:
        converted.putalpha(alpha)
    return converted
