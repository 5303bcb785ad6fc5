"""Images that were made to do harm, or are broken: each ends as a permanent error, soon, and without costing memory."""

from __future__ import annotations

import io
import random
import struct
import time
import zlib
from typing import Any

import pytest
from PIL import Image

from jobyard.errors import PermanentError
from jobyard.jobs.images import ImageRefused, ImageSettings
from jobyard.jobs.images.decode import load, open_image, orientation_of
from jobyard.jobs.images.jpeg_scans import count_scans

SETTINGS = ImageSettings()
EVERYTHING = ImageSettings(formats="jpg,png,webp,avif,gif,bmp,tiff")


def decode(content: bytes, settings: ImageSettings = SETTINGS, needed: tuple[float, float] = (16, 16)) -> Image.Image:
    image = open_image(io.BytesIO(content), settings, "image/png")
    orientation_of(image)
    load(image, needed)
    return image


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes, *between: bytes, after: bytes = b"") -> bytes:
    """A PNG by hand, 8-bit RGB, with any chunks between its head and its pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", pixels)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(between) + data + after + chunk(b"IEND", b"")


def rows(width: int, height: int) -> bytes:
    return zlib.compress((b"\x00" + b"\x80" * 3 * width) * height)


# Bombs


@pytest.mark.parametrize(
    "size", [(9_000, 9_000), (10_000, 10_000), (50_000, 50_000), (2_000_000_000, 1), (2**31 - 1, 2**31 - 1)]
)
def test_a_png_that_says_it_is_huge_is_refused_unseen(size: tuple[int, int]) -> None:
    start = time.monotonic()
    with pytest.raises(ImageRefused, match=r"pixels|damaged"):
        decode(png(*size, zlib.compress(bytes(1_000_000))))
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + b"\xfe\x3f\0" * 2 + b"VP8L\0\0\0\0",
        b"BM" + struct.pack("<IHHIIiiHHIIIIII", 58, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    ],
    ids=["gif", "webp", "bmp"],
)
def test_other_formats_that_say_they_are_huge_are_refused(content: bytes) -> None:
    with pytest.raises(ImageRefused):
        decode(content, EVERYTHING)


def test_a_jpeg_that_says_it_is_huge_is_refused(pictures: Any) -> None:
    content = bytearray(pictures.as_bytes(pictures.quarters(), "JPEG"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(ImageRefused, match="pixels"):
        decode(bytes(content))


def test_the_limit_of_pixels_is_a_setting(pictures: Any) -> None:
    content = pictures.as_bytes(pictures.quarters(100, 50), "PNG")
    assert decode(content, ImageSettings(max_pixels=5_000)).size == (100, 50)
    with pytest.raises(ImageRefused, match=r"100 × 50 pixels; at most 4999 .*JOBYARD_IMAGE_MAX_PIXELS"):
        decode(content, ImageSettings(max_pixels=4_999))


def test_a_higher_limit_than_pillows_own_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode(png(100, 100, rows(100, 100)), ImageSettings(max_pixels=10_000)).size == (100, 100)


def test_a_lower_limit_leaves_pillows_own_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode(png(10, 10, rows(10, 10)), ImageSettings(max_pixels=100))
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_png_whose_data_go_on_after_the_last_row_is_not_unpacked_further() -> None:
    """The zip of death: 10 × 10 pixels, then 500 MB of zeros in half a megabyte."""
    packer = zlib.compressobj(9)
    packed = packer.compress((b"\x00" + b"\x80" * 30) * 10)
    packed += b"".join(packer.compress(bytes(1_000_000)) for _ in range(500)) + packer.flush()
    start = time.monotonic()
    assert decode(png(10, 10, packed)).getpixel((5, 5)) == (128, 128, 128)
    assert time.monotonic() - start < 1


def bomb(kind: bytes) -> bytes:
    """A compressed text or colour profile of 200 MB, as a PNG chunk."""
    packed = zlib.compress(bytes(200_000_000), 9)
    return {
        b"zTXt": chunk(b"zTXt", b"Comment\x00\x00" + packed),
        b"iTXt": chunk(b"iTXt", b"Comment\x00\x01\x00\x00\x00" + packed),
        b"iCCP": chunk(b"iCCP", b"profile\x00\x00" + packed),
    }[kind]


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_png_with_a_bomb_for_a_text_is_refused(kind: bytes) -> None:
    with pytest.raises(ImageRefused, match="damaged: Decompressed data too large"):
        decode(png(10, 10, rows(10, 10), bomb(kind)))


def test_a_png_with_a_bomb_for_a_text_behind_its_pixels_is_refused() -> None:
    with pytest.raises(ImageRefused, match="damaged: Decompressed data too large"):
        decode(png(10, 10, rows(10, 10), after=bomb(b"zTXt")))


def test_a_png_with_a_bomb_for_a_colour_profile_is_never_unpacked_whole() -> None:
    try:
        image = decode(png(10, 10, rows(10, 10), bomb(b"iCCP")))
    except ImageRefused:
        return
    assert len(image.info.get("icc_profile") or b"") < 2_000_000


def test_a_png_with_very_many_texts_is_refused() -> None:
    text = chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(1_000_000), 9))
    with pytest.raises(ImageRefused, match="damaged"):
        decode(png(10, 10, rows(10, 10), text * 100))


def with_scans(content: bytes, more: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * more + b"\xff\xd9"


def test_a_jpeg_that_makes_its_decoder_walk_over_it_endlessly_is_refused_before_it_does(pictures: Any) -> None:
    content = pictures.as_bytes(Image.new("RGB", (4_000, 4_000)), "JPEG", progressive=True)
    start = time.monotonic()
    with pytest.raises(ImageRefused, match="more than 200 scans"):
        decode(with_scans(content, 20_000))
    assert time.monotonic() - start < 1


def test_scans_are_counted_as_a_decoder_would(pictures: Any) -> None:
    content = pictures.as_bytes(pictures.quarters(), "JPEG", progressive=True, restart_marker_blocks=1)
    scans = count_scans(content)
    assert scans == 10
    assert count_scans(with_scans(content, 7)) == scans + 7
    assert count_scans(content[: len(content) // 2]) <= scans


def test_what_only_looks_like_scans_is_no_reason_to_refuse(pictures: Any) -> None:
    """Phones put a video behind the picture, cameras a thumbnail into the EXIF data."""
    video = b"\xff\xda" * 1_000
    content = pictures.as_bytes(pictures.quarters(), "JPEG", comment=video) + video
    assert content.count(b"\xff\xda") >= 2_000
    assert decode(content).size == (80, 60)


# Other formats


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n(%pipe%id) (w) file\n",
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"<!DOCTYPE html><html><body>Not found</body></html>",
        b"8BPS\x00\x01" + bytes(50),
        b"\x00\x00\x01\x00\x01\x00" + bytes(40),
        b"PK\x03\x04" + bytes(60),
        b"#define im_width 16\n#define im_height 16\nstatic char im_bits[] = {0};",
        b"P6 4 4 255 " + bytes(48),
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
    ],
    ids=["eps", "pdf", "svg", "html", "psd", "ico", "zip", "xbm", "ppm", "empty", "jpeg-start", "png-start"],
)
def test_what_is_not_an_accepted_image_is_refused(content: bytes) -> None:
    with pytest.raises(ImageRefused, match=r"accepted format: jpg, png, .*'image/png'|damaged") as refusal:
        decode(content)
    assert isinstance(refusal.value, PermanentError)


@pytest.mark.parametrize("pillow_format", ["TIFF", "BMP"])
def test_further_formats_are_read_only_if_the_settings_say_so(pictures: Any, pillow_format: str) -> None:
    content = pictures.as_bytes(pictures.quarters(), pillow_format)
    with pytest.raises(ImageRefused, match="accepted format"):
        decode(content)
    assert decode(content, EVERYTHING).size == (80, 60)


@pytest.mark.parametrize("formats", ["", "jpg,eps", "pdf"])
def test_formats_that_are_not_safe_cannot_be_switched_on(formats: str) -> None:
    with pytest.raises(ValueError, match="formats are jpg"):
        ImageSettings(formats=formats)


# Damage


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_image_is_refused(pictures: Any, pillow_format: str, part: float) -> None:
    noise = Image.effect_noise((64, 64), 80).convert("RGB")
    content = pictures.as_bytes(noise, pillow_format)
    with pytest.raises(ImageRefused):
        decode(content[: int(len(content) * part)], needed=(64, 64))


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
@pytest.mark.filterwarnings("ignore")  # Pillow warns of much that it finds in damaged images.
def test_random_damage_ends_in_an_image_or_a_refusal_and_in_nothing_else(pictures: Any, pillow_format: str) -> None:
    dice = random.Random(pillow_format)
    whole = pictures.as_bytes(pictures.quarters(24, 24), pillow_format)
    refusals = 0
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        try:
            decode(bytes(content), EVERYTHING)
        except ImageRefused:
            refusals += 1
    assert refusals > 0


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_no_reason_to_refuse_an_image(pictures: Any) -> None:
    content = pictures.as_bytes(pictures.quarters(), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff")
    assert orientation_of(open_image(io.BytesIO(content), SETTINGS)) == 1


# Cost


def test_a_large_jpeg_is_decoded_at_an_eighth_when_little_of_it_is_needed(pictures: Any) -> None:
    content = pictures.as_bytes(pictures.quarters(1600, 1200), "JPEG")
    assert decode(content, needed=(100, 75)).size == (200, 150)
    assert decode(content, needed=(200, 150)).size == (400, 300)
    assert decode(content, needed=(1000, 750)).size == (1600, 1200)


def test_only_the_first_frame_of_an_animation_is_decoded(pictures: Any) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in (pictures.RED, pictures.BLUE, pictures.GREEN)]
    for pillow_format in ("GIF", "WEBP", "PNG", "AVIF"):
        content = pictures.as_bytes(frames[0], pillow_format, save_all=True, append_images=frames[1:])
        assert pictures.near(decode(content), (10, 10), pictures.RED)
