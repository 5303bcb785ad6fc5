"""What comes out of each fit, each orientation, each pixel mode."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from jobyard.jobs.images import ImageRefused, ImageSettings, Resize
from jobyard.jobs.images.decode import load, open_image, orientation_of
from jobyard.jobs.images.plan import plan
from jobyard.jobs.images.transform import lies_on_its_side, transform


def transformed(
    image: Image.Image,
    resize: Resize | None = None,
    orientation: int = 1,
    background: str | None = None,
    keep_alpha: bool = True,
) -> Image.Image:
    size = image.size[::-1] if lies_on_its_side(orientation) else image.size
    return transform(image, plan(size, resize), orientation, background, keep_alpha)


# Fits


def test_inside_shows_the_whole_image(pictures: Any) -> None:
    result = transformed(pictures.quarters(80, 60), Resize(width=40, height=40))
    assert result.size == (40, 30)
    assert pictures.corners(result) == ["red", "green", "blue", "yellow"]


def test_contain_pads_with_nothing_or_with_the_background(pictures: Any) -> None:
    resize = Resize(width=40, height=40, fit="contain")
    result = transformed(pictures.quarters(80, 60), resize)
    assert (result.size, result.mode) == ((40, 40), "RGBA")
    assert result.getpixel((20, 1)) == (0, 0, 0, 0)
    assert pictures.near(result, (2, 7), (*pictures.RED, 255))
    assert pictures.near(result, (37, 32), (*pictures.YELLOW, 255))

    coloured = transformed(pictures.quarters(80, 60), resize, background="#0f0")
    assert coloured.mode == "RGB"
    assert coloured.getpixel((20, 1)) == (0, 255, 0)
    white = transformed(pictures.quarters(80, 60), resize, keep_alpha=False)
    assert white.getpixel((20, 38)) == (255, 255, 255)


def test_cover_cuts_both_ends_off(pictures: Any) -> None:
    image = Image.new("RGB", (120, 40), pictures.GREEN)
    image.paste(pictures.RED, (0, 0, 40, 40))
    image.paste(pictures.BLUE, (80, 0, 120, 40))
    result = transformed(image, Resize(width=20, height=20, fit="cover"))
    assert result.size == (20, 20)
    assert pictures.corners(result) == ["green"] * 4


def test_fill_stretches_the_whole_image(pictures: Any) -> None:
    result = transformed(pictures.quarters(80, 60), Resize(width=30, height=90, fit="fill"))
    assert result.size == (30, 90)
    assert pictures.corners(result) == ["red", "green", "blue", "yellow"]


def test_without_resize_every_pixel_stays(pictures: Any) -> None:
    image = pictures.quarters()
    assert transformed(image).tobytes() == image.tobytes()


# Orientations. For each: where the file's first row and first column lie, as the EXIF standard says.

LIES = {
    1: lambda row, column, wide, high: (column, row),
    2: lambda row, column, wide, high: (wide - 1 - column, row),
    3: lambda row, column, wide, high: (wide - 1 - column, high - 1 - row),
    4: lambda row, column, wide, high: (column, high - 1 - row),
    5: lambda row, column, wide, high: (row, column),
    6: lambda row, column, wide, high: (wide - 1 - row, column),
    7: lambda row, column, wide, high: (wide - 1 - row, high - 1 - column),
    8: lambda row, column, wide, high: (row, high - 1 - column),
}


def lying(upright: Image.Image, orientation: int) -> Image.Image:
    """The pixels in the order in which a file with this orientation holds them."""
    wide, high = upright.size
    result = Image.new(upright.mode, (high, wide) if orientation >= 5 else (wide, high))
    for row in range(result.height):
        for column in range(result.width):
            result.putpixel((column, row), upright.getpixel(LIES[orientation](row, column, wide, high)))
    return result


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(pictures: Any, orientation: int) -> None:
    upright = pictures.quarters(12, 8)
    assert transformed(lying(upright, orientation), orientation=orientation).tobytes() == upright.tobytes()


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured_from_every_format_and_counts_before_the_size(
    pictures: Any, pillow_format: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = lying(pictures.quarters(64, 32), orientation)
    content = pictures.as_bytes(stored, pillow_format, exif=exif)

    image = open_image(io.BytesIO(content), ImageSettings(formats="jpg,png,webp,avif,tiff"))
    found = orientation_of(image)
    assert found == (1 if pillow_format == "TIFF" else orientation)
    size = image.size[::-1] if lies_on_its_side(found) else image.size
    assert size == (64, 32)
    steps = plan(size, Resize(width=32, height=8, fit="fill"))
    load(image, (steps.turned() if lies_on_its_side(found) else steps).whole())
    result = transform(image, steps, found, None, keep_alpha=False)
    assert result.size == (32, 8)
    assert pictures.corners(result) == ["red", "green", "blue", "yellow"]


@pytest.mark.parametrize("value", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_means_upright(pictures: Any, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    content = pictures.as_bytes(pictures.quarters(), "JPEG", exif=exif)
    assert orientation_of(open_image(io.BytesIO(content), ImageSettings())) == 1


def test_cover_of_a_lying_image_cuts_the_right_ends(pictures: Any) -> None:
    upright = Image.new("RGB", (120, 40), pictures.GREEN)
    upright.paste(pictures.RED, (0, 0, 40, 40))
    upright.paste(pictures.BLUE, (80, 0, 120, 40))
    result = transformed(lying(upright, 6), Resize(width=60, height=40, fit="cover"), orientation=6)
    assert result.size == (60, 40)
    assert pictures.near(result, (1, 20), pictures.RED)
    assert pictures.near(result, (30, 20), pictures.GREEN)
    assert pictures.near(result, (58, 20), pictures.BLUE)


# Transparency


def half_transparent() -> Image.Image:
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 255))
    image.paste((0, 0, 255, 0), (10, 0, 20, 20))
    return image


def test_transparency_is_kept_where_it_can_be() -> None:
    result = transformed(half_transparent())
    assert (result.mode, result.getpixel((15, 5))) == ("RGBA", (0, 0, 255, 0))


@pytest.mark.parametrize(
    ("background", "colour"), [(None, (255, 255, 255)), ("#000", (0, 0, 0)), ("#336699", (0x33, 0x66, 0x99))]
)
def test_transparency_shows_the_background_where_it_cannot(
    background: str | None, colour: tuple[int, int, int]
) -> None:
    result = transformed(half_transparent(), background=background, keep_alpha=False)
    assert (result.mode, result.getpixel((15, 5)), result.getpixel((5, 5))) == ("RGB", colour, (255, 0, 0))


def test_a_background_that_is_asked_for_replaces_transparency_in_every_format() -> None:
    result = transformed(half_transparent(), background="#00ff00")
    assert (result.mode, result.getpixel((15, 5))) == ("RGB", (0, 255, 0))


def test_what_is_transparent_does_not_bleed_into_what_is_not() -> None:
    """Scaling mixes neighbours; the blue behind the transparent half must not colour the seam."""
    result = transformed(half_transparent(), Resize(width=5, height=5))
    for column in range(5):
        pixel = result.getpixel((column, 2))
        assert isinstance(pixel, tuple)
        if pixel[3]:
            assert pixel[0] >= 250
            assert pixel[2] <= 5


# Pixel modes


def with_transparency(image: Image.Image, transparent: Any) -> Image.Image:
    image.info["transparency"] = transparent
    return image


@pytest.mark.parametrize(
    ("image", "mode", "colour"),
    [
        (Image.new("1", (8, 8), 1), "L", 255),
        (Image.new("L", (8, 8), 100), "L", 100),
        (Image.new("LA", (8, 8), (100, 50)), "LA", (100, 50)),
        (Image.new("RGB", (8, 8), (1, 2, 3)), "RGB", (1, 2, 3)),
        (Image.new("RGBA", (8, 8), (10, 20, 30, 128)), "RGBA", (10, 20, 30, 128)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "RGB", (255, 0, 0)),
        (Image.new("YCbCr", (8, 8), (255, 128, 128)), "RGB", (255, 255, 255)),
        (Image.new("RGB", (8, 8), (10, 200, 30)).quantize(4), "RGB", (10, 200, 30)),
        (with_transparency(Image.new("P", (8, 8), 0), 0), "RGBA", (0, 0, 0, 0)),
        (with_transparency(Image.new("L", (8, 8), 7), 7), "LA", (7, 0)),
        (with_transparency(Image.new("RGB", (8, 8), (1, 2, 3)), (1, 2, 3)), "RGBA", (1, 2, 3, 0)),
        (Image.new("I;16", (8, 8), 0x80FF), "L", 0x80),
        (Image.new("I;16", (8, 8), 0xFFFF), "L", 0xFF),
        (Image.new("I;16B", (8, 8), 0x40FF), "L", 0x40),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_every_pixel_mode_comes_out_as_one_of_the_web(image: Image.Image, mode: str, colour: Any) -> None:
    result = transformed(image)
    assert (result.mode, result.getpixel((4, 4))) == (mode, colour)


def test_a_16_bit_png_keeps_its_greys(pictures: Any) -> None:
    image = Image.new("I;16", (4, 1))
    for column, value in enumerate((0, 0x1234, 0x8000, 0xFFFF)):
        image.putpixel((column, 0), value)
    opened = open_image(io.BytesIO(pictures.as_bytes(image, "PNG")), ImageSettings())
    load(opened, (4, 1))
    result = transformed(opened)
    assert [result.getpixel((column, 0)) for column in range(4)] == [0, 0x12, 0x80, 0xFF]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_without_an_agreed_meaning_are_refused(mode: str) -> None:
    with pytest.raises(ImageRefused, match=f"mode '{mode}' are not supported"):
        transformed(Image.new(mode, (8, 8)))


def test_nothing_that_came_with_the_image_stays_on_it(pictures: Any) -> None:
    image = pictures.quarters()
    image.info.update(comment=b"secret", exif=b"secret", xmp=b"secret", dpi=(72, 72))
    assert transformed(image).info == {}
    assert transformed(image, Resize(width=10)).info == {}
