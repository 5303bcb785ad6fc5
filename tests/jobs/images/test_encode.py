"""What is written, and what can't be."""

from __future__ import annotations

import io
import os

import pytest
from PIL import Image, features

from jobyard.jobs.images import ImageRefused
from jobyard.jobs.images.encode import check_can_encode, check_side, encode
from jobyard.jobs.images.formats import LONGEST_SIDE, OutputFormat

FORMATS: list[OutputFormat] = ["jpg", "png", "webp", "avif"]


def written(image: Image.Image, output: OutputFormat, quality: int | None = None) -> bytes:
    file = io.BytesIO()
    size = encode(image, file, output, quality)
    assert size == len(file.getvalue())
    return file.getvalue()


@pytest.mark.parametrize(
    ("mode", "output"),
    [(mode, output) for mode in ("L", "LA", "RGB", "RGBA") for output in FORMATS if output != "jpg" or "A" not in mode],
)
def test_every_mode_can_be_written_as_every_format_that_holds_it(mode: str, output: OutputFormat) -> None:
    content = written(Image.new(mode, (16, 16)), output)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert image.format == {"jpg": "JPEG"}.get(output, output.upper())
        assert image.size == (16, 16)
        assert image.has_transparency_data == mode.endswith("A")


@pytest.mark.parametrize("output", ["jpg", "webp", "avif"])
def test_less_quality_means_fewer_bytes(output: OutputFormat) -> None:
    noise = Image.effect_noise((64, 64), 60).convert("RGB")
    sizes = [len(written(noise, output, quality)) for quality in (5, 50, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2] / 2


def test_pure_noise_at_any_quality_is_written() -> None:
    """Pillow's guess of a progressive JPEG's size is too small for it."""
    noise = Image.frombytes("RGB", (600, 600), os.urandom(600 * 600 * 3))
    for quality in (89, 90, 94, 100):
        with Image.open(io.BytesIO(written(noise, "jpg", quality))) as image:
            image.load()
            assert image.size == (600, 600)


@pytest.mark.parametrize("output", FORMATS)
def test_a_side_that_the_format_cannot_hold_is_refused(output: OutputFormat) -> None:
    longest = LONGEST_SIDE[output]
    check_side((longest, 1), output)
    with pytest.raises(ImageRefused, match=f"{output} holds at most {longest}"):
        check_side((1, longest + 1), output)


@pytest.mark.parametrize("output", FORMATS)
def test_the_longest_side_can_really_be_written(output: OutputFormat) -> None:
    with Image.open(io.BytesIO(written(Image.new("L", (LONGEST_SIDE[output], 1)), output))) as image:
        assert image.size == (LONGEST_SIDE[output], 1)


@pytest.mark.parametrize("output", ["webp", "avif"])
def test_a_pillow_without_the_format_is_told_plainly(output: OutputFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    check_can_encode(output)
    monkeypatch.setattr(features, "check", lambda feature: feature != output)
    with pytest.raises(ImageRefused, match=f"built without {output}; install"):
        check_can_encode(output)
