"""Computes how an image is cut, scaled and padded. Pure: sizes in, sizes out."""

from __future__ import annotations

from dataclasses import dataclass

from jobyard.jobs.images.payload import Resize

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """First the middle of the image is cut out, then that is scaled, then it is centred on a canvas.

    Attributes:
        keep: which part of width and height is kept, each above 0 and up to 1.
        scaled: the size of that part after scaling, in pixels.
        canvas: the size of the result, in pixels; the same as `scaled` where nothing is padded.
    """

    keep: tuple[float, float]
    scaled: Size
    canvas: Size

    def turned(self) -> Plan:
        """The same for an image whose width and height have changed places."""
        return Plan(self.keep[::-1], self.scaled[::-1], self.canvas[::-1])

    def whole(self) -> tuple[float, float]:
        """How large the whole image would be at the scale of the part that is kept."""
        return self.scaled[0] / self.keep[0], self.scaled[1] / self.keep[1]


def plan(source: Size, resize: Resize | None) -> Plan:
    """How to make of an image of size `source` what `resize` asks for.

    Where it may not be enlarged, an image that is too small stays as it is (`inside`), is padded (`contain`), or is cut
    to the proportions that are wanted (`cover`).
    """
    if resize is None:
        return Plan((1.0, 1.0), source, source)
    wide, high = source
    if resize.width is None or resize.height is None:
        scale = resize.width / wide if resize.width is not None else (resize.height or high) / high
        scaled = _times(source, scale if resize.upscale else min(1.0, scale))
        return Plan((1.0, 1.0), scaled, scaled)

    wanted = (resize.width, resize.height)
    by_width, by_height = resize.width / wide, resize.height / high
    match resize.fit:
        case "fill":
            return Plan((1.0, 1.0), wanted, wanted)
        case "cover":
            scale = max(by_width, by_height)
            # The two proportions, cross-multiplied: exact, unlike a quotient of the scales.
            wider, higher = resize.width * high, resize.height * wide
            keep = (min(1.0, wider / higher), min(1.0, higher / wider))
            if scale > 1.0 and not resize.upscale:
                wanted = _times(wanted, 1.0 / scale)
            return Plan(keep, wanted, wanted)
        case "inside" | "contain":
            scale = min(by_width, by_height)
            scaled = _times(source, scale if resize.upscale else min(1.0, scale))
            return Plan((1.0, 1.0), scaled, wanted if resize.fit == "contain" else scaled)


def _times(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
