"""Embedded colour profiles: applied, not kept.

The profiles are made here by hand. Real ones differ from sRGB by little; these by so much that no test can miss it.
"""

from __future__ import annotations

import struct

import pytest
from PIL import Image, ImageCms

from jobyard.jobs.images.colour import to_srgb

# The primaries of sRGB in the profile connection space (XYZ, D50).
PRIMARIES = {
    "r": (0.4360747, 0.2225045, 0.0139322),
    "g": (0.3850649, 0.7168786, 0.0971045),
    "b": (0.1430804, 0.0606169, 0.7141733),
}
WHITE = (0.9642, 1.0, 0.8249)


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65_536) for value in values))


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"


def _text(value: str) -> bytes:
    data = b"desc\0\0\0\0" + struct.pack(">I", len(value) + 1) + value.encode() + b"\0" + bytes(78)
    return data + bytes(-len(data) % 4)


def profile(
    space: str, description: str, tags: dict[str, bytes], connection: str = "XYZ ", device: str = "mntr"
) -> bytes:
    """An ICC profile of version 2.1."""
    tags = {"desc": _text(description), "wtpt": _xyz(WHITE), "cprt": b"text\0\0\0\0none\0\0\0\0", **tags}
    offset = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name.encode() + struct.pack(">II", offset + len(data), len(tag))
        data += tag
    head = bytearray(128)
    kinds = (b"none", b"\x02\x10\0\0", device.encode(), space.encode(), connection.encode())
    struct.pack_into(">I4s4s4s4s4s", head, 0, offset + len(data), *kinds)
    head[36:40] = b"acsp"
    head[68:80] = _xyz(WHITE)[8:]
    return bytes(head) + table + data


def rgb_profile(red: str = "r", green: str = "g", blue: str = "b", description: str = "test") -> bytes:
    """A profile whose red, green and blue are these primaries of sRGB."""
    names = zip("rgb", (red, green, blue), strict=True)
    tags = {f"{channel}XYZ": _xyz(PRIMARIES[primary]) for channel, primary in names}
    return profile("RGB ", description, tags | {f"{channel}TRC": _gamma(2.2) for channel in "rgb"})


def grey_profile(gamma: float) -> bytes:
    return profile("GRAY", "test grey", {"kTRC": _gamma(gamma)})


def cmyk_profile(lightness: int) -> bytes:
    """A profile of a press on which every mixture of inks comes out as the same grey; `lightness` from 0 to 100."""
    grey = bytes((round(lightness * 2.55), 128, 128))  # Lab
    straight = bytes(range(256))
    unit = struct.pack(">9i", *(65_536 if place % 4 == 0 else 0 for place in range(9)))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + unit + straight * 4 + grey * 2**4 + straight * 3
    return profile("CMYK", "test press", {"A2B0": table + bytes(-len(table) % 4)}, connection="Lab ", device="prtr")


def near(pixel: object, colour: tuple[int, ...]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(is_ - should) <= 6 for is_, should in zip(pixel, colour, strict=True))


def test_an_rgb_profile_is_applied() -> None:
    swapped = rgb_profile(red="g", green="r")
    result = to_srgb(Image.new("RGB", (4, 4), (255, 0, 0)), swapped)
    assert result.mode == "RGB"
    assert near(result.getpixel((1, 1)), (0, 255, 0))


def test_an_rgb_profile_leaves_transparency_alone() -> None:
    result = to_srgb(Image.new("RGBA", (4, 4), (255, 0, 0, 77)), rgb_profile(red="g", green="r"))
    assert result.mode == "RGBA"
    assert near(result.getpixel((1, 1)), (0, 255, 0, 77))


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_profile_is_applied_and_the_image_stays_grey(mode: str) -> None:
    image = Image.new("L", (4, 4), 128)
    if mode == "LA":
        image.putalpha(77)
    result = to_srgb(image, grey_profile(gamma=1.0))
    assert result.mode == mode
    # Half the light is 188 in sRGB.
    assert near(result.convert("LA").getpixel((1, 1)), (188, 77 if mode == "LA" else 255))


def test_srgb_itself_changes_nothing() -> None:
    image = Image.new("RGB", (4, 4), (12, 34, 56))
    real = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert to_srgb(image, real).tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("mode", "damaged"),
    [
        ("RGB", b"not a profile"),
        ("RGB", rgb_profile()[:200]),
        ("RGB", bytes(200)),
        ("RGB", grey_profile(1.0)),
        ("L", rgb_profile()),
        ("RGB", b""),
        ("RGB", None),
    ],
    ids=["junk", "cut", "zeros", "grey-for-rgb", "rgb-for-grey", "empty", "none"],
)
def test_a_profile_that_does_not_fit_is_ignored(mode: str, damaged: bytes | None) -> None:
    image = Image.new(mode, (4, 4), 100 if mode == "L" else (12, 34, 56))
    assert to_srgb(image, damaged).tobytes() == image.tobytes()


def test_a_cmyk_profile_is_applied() -> None:
    result = to_srgb(Image.new("CMYK", (4, 4), (255, 0, 0, 0)), cmyk_profile(lightness=50))
    assert result.mode == "RGB"
    assert near(result.getpixel((1, 1)), (119, 119, 119))  # L* = 50


@pytest.mark.parametrize("damaged", [None, b"not a profile", rgb_profile()])
def test_cmyk_without_a_profile_that_fits_is_converted_plainly(damaged: bytes | None) -> None:
    result = to_srgb(Image.new("CMYK", (4, 4), (255, 0, 0, 0)), damaged)
    assert (result.mode, result.getpixel((1, 1))) == ("RGB", (0, 255, 255))
