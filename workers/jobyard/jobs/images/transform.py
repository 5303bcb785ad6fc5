"""Turns decoded pixels into the image that is wanted. Scaling comes first, so that all else is done on few pixels."""

from __future__ import annotations

from PIL import Image, ImageColor

from jobyard.jobs.images.colour import to_srgb, to_working_mode
from jobyard.jobs.images.plan import Plan

# Before the filter runs, whole blocks of pixels are averaged, down to three times the size that is wanted. Nobody can
# tell the result from the slow way's.
_REDUCING_GAP = 3.0

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def lies_on_its_side(orientation: int) -> bool:
    """Whether width and height change places when the image is set upright."""
    return orientation >= 5


def transform(
    image: Image.Image, plan: Plan, orientation: int, background: str | None, keep_alpha: bool
) -> Image.Image:
    """The image cut, scaled, upright, in sRGB, padded and without any metadata. Its mode is L, LA, RGB or RGBA.

    Args:
        image: decoded, as it lies in the file.
        plan: for the image as it stands upright.
        orientation: EXIF's, 1 to 8.
        background: a colour to lay under it; None: none, or white if transparency can't be kept.
        keep_alpha: whether the result may be transparent.

    Raises:
        ImageRefused: the image's pixels are of a kind that isn't supported.
    """
    profile = image.info.get("icc_profile")
    lying = plan.turned() if lies_on_its_side(orientation) else plan
    result = _scale(to_working_mode(image), lying)
    if orientation in _UPRIGHT:
        result = result.transpose(_UPRIGHT[orientation])
    result = to_srgb(result, profile)
    if not keep_alpha:
        background = background or "#ffffff"
    if background is not None:
        result = _flatten(result, background)
    if result.size != plan.canvas:
        result = _pad(result, plan.canvas, background)
    # An image that still belongs to its file has further frames, and writers take comments and profiles from `info`.
    result = result.copy() if result is image else result
    result.info = {}
    return result


def _scale(image: Image.Image, plan: Plan) -> Image.Image:
    wide, high = image.size
    kept_wide, kept_high = wide * plan.keep[0], high * plan.keep[1]
    left, top = (wide - kept_wide) / 2, (high - kept_high) / 2
    if plan.scaled == image.size and plan.keep == (1.0, 1.0):
        return image
    return image.resize(
        plan.scaled,
        Image.Resampling.LANCZOS,
        box=(left, top, min(wide, left + kept_wide), min(high, top + kept_high)),
        reducing_gap=_REDUCING_GAP,
    )


def _flatten(image: Image.Image, background: str) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return image
    under = Image.new("RGB", image.size, ImageColor.getrgb(background))
    under.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return under


def _pad(image: Image.Image, canvas: tuple[int, int], background: str | None) -> Image.Image:
    if background is None:
        image = image.convert("RGBA")
        padded = Image.new("RGBA", canvas, (0, 0, 0, 0))
    else:
        image = image.convert("RGB")
        padded = Image.new("RGB", canvas, ImageColor.getrgb(background))
    padded.paste(image, ((canvas[0] - image.width) // 2, (canvas[1] - image.height) // 2))
    return padded
