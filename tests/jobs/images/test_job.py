"""`process_image` as a whole: from a real web server through every step into a real storage."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from jobyard import context
from jobyard.errors import PayloadError, RetryAfter
from jobyard.jobs.download import DownloadError, DownloadRefused
from jobyard.jobs.images import ImageRefused, process_image
from jobyard.jobs.storage import Storage

Serve = Callable[..., str]
SECRET = b"SECRET"


def stored(storage: Storage, result: dict[str, Any]) -> Image.Image:
    """The result, opened, after its facts have been compared with what the job says."""
    with storage.open_read(result["object"]) as file:
        content = file.read()
    image = Image.open(io.BytesIO(content))
    image.load()
    assert result["bytes"] == len(content)
    assert (result["width"], result["height"]) == image.size
    assert image.format == {"jpg": "JPEG"}.get(result["format"], result["format"].upper())
    return image


@pytest.mark.parametrize("output", ["jpg", "png", "webp", "avif"])
@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
def test_every_format_becomes_every_format(
    serve: Serve, storage: Storage, pictures: Any, pillow_format: str, output: str
) -> None:
    content = pictures.as_bytes(pictures.quarters(320, 240), pillow_format)
    result = process_image(
        image_url=serve(content),
        transformations={"resize": {"width": 80, "height": 80}, "format": output, "quality": 70}
        if output != "png"
        else {"resize": {"width": 80, "height": 80}, "format": output},
    )
    image = stored(storage, result)
    assert image.size == (80, 60)
    assert pictures.corners(image) == ["red", "green", "blue", "yellow"]
    assert result["object"].startswith("images/")
    assert result["object"].endswith(f".{output}")
    assert result["url"] == storage.url_of(result["object"])
    source = {"JPEG": "jpg"}.get(pillow_format, pillow_format.lower())
    assert result["source"] == {"width": 320, "height": 240, "format": source, "bytes": len(content)}


@pytest.mark.parametrize(
    ("pillow_format", "output"),
    [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("AVIF", "avif"), ("GIF", "png"), ("MPO", "jpg")],
)
def test_without_transformations_the_format_stays(
    serve: Serve, storage: Storage, pictures: Any, pillow_format: str, output: str
) -> None:
    options = {"save_all": True, "append_images": [pictures.quarters()]} if pillow_format == "MPO" else {}
    result = process_image(image_url=serve(pictures.as_bytes(pictures.quarters(), pillow_format, **options)))
    assert result["format"] == output
    assert pictures.corners(stored(storage, result)) == ["red", "green", "blue", "yellow"]


def test_an_object_in_the_storage_is_processed(storage: Storage, pictures: Any) -> None:
    with storage.open_write("uploads/7.png") as file:
        file.write(pictures.as_bytes(pictures.quarters(), "PNG"))
    result = process_image(object="uploads/7.png", transformations={"resize": {"width": 8}})
    assert stored(storage, result).size == (8, 6)


def test_an_object_that_is_missing_or_too_large_is_refused(
    storage: Storage, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImageRefused, match=r"no object 'uploads/8.png'"):
        process_image(object="uploads/8.png")
    with storage.open_write("uploads/7.png") as file:
        file.write(bytes(1001))
    monkeypatch.setenv("JOBYARD_IMAGE_MAX_BYTES", "1000")
    with pytest.raises(ImageRefused, match=r"has 1001 bytes; at most 1000 .*JOBYARD_IMAGE_MAX_BYTES"):
        process_image(object="uploads/7.png")


# Metadata


def exif_with_secrets(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x013B] = SECRET.decode()  # Artist
    exif[0x8298] = SECRET.decode()  # Copyright
    exif.get_ifd(0x8825)[29] = SECRET.decode()  # GPS date
    exif.get_ifd(0x8769)[0xA431] = SECRET.decode()  # Serial number of the camera
    return exif


def with_secrets(pictures: Any, pillow_format: str) -> bytes:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + SECRET + b"</x:xmpmeta>"
    image = pictures.quarters(96, 64)
    match pillow_format:
        case "JPEG":
            plain = pictures.as_bytes(image, "JPEG", exif=exif_with_secrets(), comment=SECRET, xmp=xmp)
            iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x06" + SECRET
            return plain[:2] + b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc + plain[2:] + SECRET
        case "PNG":
            texts = PngImagePlugin.PngInfo()
            texts.add_text("Comment", SECRET.decode())
            texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
            texts.add_text("Author", SECRET.decode(), zip=False)
            return pictures.as_bytes(image, "PNG", exif=exif_with_secrets(), pnginfo=texts)
        case "GIF":
            return pictures.as_bytes(image, "GIF", comment=SECRET)
        case _:
            return pictures.as_bytes(image, pillow_format, exif=exif_with_secrets(), xmp=xmp)


@pytest.mark.parametrize("resize", [None, {"width": 32}], ids=["same-size", "resized"])
@pytest.mark.parametrize("output", ["jpg", "png", "webp", "avif"])
@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
def test_metadata_is_stripped_and_orientation_applied(
    serve: Serve, storage: Storage, pictures: Any, pillow_format: str, output: str, resize: Any
) -> None:
    content = with_secrets(pictures, pillow_format)
    assert SECRET in content
    result = process_image(image_url=serve(content), transformations={"resize": resize, "format": output})
    with storage.open_read(result["object"]) as file:
        written = file.read()
    for trace in (SECRET, b"Exif", b"EXIF", b"eXIf", b"xmpmeta", b"ICC_PROFILE", b"iCCP", b"tEXt", b"Photoshop"):
        assert trace not in written
    image = stored(storage, result)
    assert not image.getexif()
    assert not {"exif", "xmp", "comment", "icc_profile", "dpi"} & set(image.info)
    if pillow_format != "GIF":
        assert result["source"]["width"] == 64
        assert pictures.corners(image) == ["blue", "red", "yellow", "green"]


def test_a_file_behind_the_image_does_not_get_through(serve: Serve, storage: Storage, pictures: Any) -> None:
    polyglot = pictures.as_bytes(pictures.quarters(), "JPEG") + b"PK\x03\x04" + b"<script>alert(1)</script>"
    result = process_image(image_url=serve(polyglot))
    with storage.open_read(result["object"]) as file:
        written = file.read()
    assert b"<script>" not in written
    assert b"PK\x03\x04" not in written


def test_transparency_becomes_the_background_in_a_jpg(serve: Serve, storage: Storage, pictures: Any) -> None:
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    result = process_image(
        image_url=serve(pictures.as_bytes(image, "PNG")),
        transformations={"format": "jpg", "background": "#0000ff"},
    )
    assert pictures.near(stored(storage, result), (10, 10), (0, 0, 255))


# Refusals and faults


def test_a_damaged_image_is_a_permanent_error_and_leaves_nothing(
    serve: Serve, storage: Storage, pictures: Any, tmp_path: Path
) -> None:
    noise = pictures.as_bytes(Image.effect_noise((64, 64), 80), "PNG")
    with pytest.raises(ImageRefused, match="damaged"):
        process_image(image_url=serve(noise[: len(noise) // 2]))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_page_instead_of_an_image_is_refused_and_says_so(serve: Serve, storage: Storage) -> None:
    with pytest.raises(ImageRefused, match=r"accepted format: jpg, .*the sender says 'text/html'"):
        process_image(image_url=serve(b"<html>Log in first</html>", content_type="text/html"))


def test_a_result_with_too_many_pixels_is_refused(
    serve: Serve, storage: Storage, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBYARD_IMAGE_MAX_PIXELS", "10000")
    with pytest.raises(ImageRefused, match="the result has 200 × 200 pixels; at most 10000"):
        process_image(
            image_url=serve(pictures.as_bytes(pictures.quarters(), "PNG")),
            transformations={"resize": {"width": 200, "height": 200, "fit": "fill"}},
        )


def test_a_result_that_the_format_cannot_hold_is_refused(serve: Serve, storage: Storage, pictures: Any) -> None:
    content = pictures.as_bytes(Image.new("L", (17_000, 1)), "PNG")
    with pytest.raises(ImageRefused, match="webp holds at most 16383"):
        process_image(image_url=serve(content), transformations={"format": "webp"})


def test_downloads_end_as_they_should(
    serve: Serve, storage: Storage, pictures: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pictures.as_bytes(pictures.quarters(), "PNG")
    with pytest.raises(DownloadError):
        process_image(image_url=serve(b"", status=500))
    with pytest.raises(DownloadRefused):
        process_image(image_url=serve(b"", status=404))
    with pytest.raises(RetryAfter):
        process_image(image_url=serve(b"", status=503, retry_after="9"))
    url = serve(content)
    monkeypatch.setenv("JOBYARD_IMAGE_MAX_BYTES", str(len(content) - 1))
    with pytest.raises(DownloadRefused, match=f"at most {len(content) - 1} are accepted"):
        process_image(image_url=url)
    monkeypatch.delenv("JOBYARD_DOWNLOAD_ALLOW")
    with pytest.raises(DownloadRefused, match="loopback"):
        process_image(image_url=url)


# The actor


def test_the_actor_is_declared_as_promised() -> None:
    assert (process_image.actor_name, process_image.queue_name) == ("process_image", "images")
    retry = process_image.options["retry"]
    assert (retry.attempts, retry.wait(1), retry.wait(2), retry.wait(3)) == (3, 2, 4, None)


def test_a_bad_payload_is_refused_at_enqueue() -> None:
    with pytest.raises(PayloadError, match=r"transformations\.resize\.width: .*transformations\.format: "):
        process_image.message(
            image_url="https://example.org/a.jpg", transformations={"resize": {"width": -1}, "format": "exe"}
        )


@dataclass
class RunningJob:
    """Stands in for the job that a worker runs, and keeps what is told to it."""

    id: str
    queue: str = "images"
    actor: str = "process_image"
    attempt: int = 1
    cancelled: bool = False
    told: list[tuple[float, str]] = field(default_factory=list)

    def report_progress(self, percent: float, message: str, counts: dict[str, float]) -> None:
        self.told.append((percent, message))


def run_as(job: RunningJob, **payload: Any) -> dict[str, Any]:
    token = context.enter(job)
    try:
        result: dict[str, Any] = process_image(**payload)
    finally:
        context.leave(token)
    return result


def test_the_object_is_named_for_the_job_so_that_another_attempt_replaces_it(
    serve: Serve, storage: Storage, pictures: Any
) -> None:
    url = serve(pictures.as_bytes(pictures.quarters(), "PNG"))
    for _ in range(2):
        result = run_as(RunningJob("3f2c-77"), image_url=url, transformations={"format": "webp"})
        assert result["object"] == "images/3f2c-77.webp"


@pytest.mark.parametrize("identity", ["../../etc/passwd", "user:7/a b", "x" * 500, "é\udc80", ".hidden"])
def test_an_id_that_cannot_be_a_name_is_replaced_by_its_hash(
    serve: Serve, storage: Storage, pictures: Any, identity: str
) -> None:
    url = serve(pictures.as_bytes(pictures.quarters(), "PNG"))
    first, second = (run_as(RunningJob(identity), image_url=url)["object"] for _ in range(2))
    assert first == second
    assert len(first) == len("images/.png") + 64


def test_progress_is_told_step_by_step(serve: Serve, storage: Storage, pictures: Any) -> None:
    job = RunningJob("7")
    noise = Image.effect_noise((400, 400), 80)
    run_as(job, image_url=serve(pictures.as_bytes(noise, "PNG")))
    percents = [percent for percent, _ in job.told]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)
    assert list(dict.fromkeys(message for _, message in job.told)) == [
        "downloading",
        "decoding",
        "transforming",
        "encoding",
        "stored",
    ]
    assert any(0 < percent < 40 for percent in percents)
