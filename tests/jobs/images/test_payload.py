"""What is refused before it is queued, and by which path."""

from __future__ import annotations

from typing import Any

import pytest

from jobyard.actor import check_payload
from jobyard.errors import PayloadError
from jobyard.jobs.images import ProcessImage

URL = "https://example.org/a.jpg"


def refused(**fields: Any) -> dict[str, str]:
    """Path and message of everything that is wrong with a payload."""
    with pytest.raises(PayloadError) as refusal:
        check_payload("process_image", ProcessImage, fields)
    return {field.path: field.message for field in refusal.value.fields}


def accepted(**fields: Any) -> dict[str, Any]:
    return check_payload("process_image", ProcessImage, fields)


def test_a_full_payload_is_accepted_and_comes_out_as_json_values() -> None:
    fields = {
        "image_url": URL,
        "transformations": {
            "resize": {"width": 300, "height": 200, "fit": "cover", "upscale": True},
            "format": "webp",
            "quality": 80,
            "background": "#fff",
        },
        "priority": 7,
    }
    assert accepted(**fields) == fields


def test_a_url_or_an_object_is_enough() -> None:
    assert accepted(image_url=URL) == {"image_url": URL}
    assert accepted(object="uploads/7.png") == {"object": "uploads/7.png"}


def test_neither_or_both_sources_are_refused() -> None:
    assert "either image_url or object" in refused()[""]
    assert "either image_url or object" in refused(image_url=URL, object="a.png")[""]


@pytest.mark.parametrize("url", ["ftp://example.org/a", "/etc/passwd", "http://u:p@example.org/", "https://", "a b"])
def test_a_url_that_cannot_be_downloaded_is_refused(url: str) -> None:
    assert list(refused(image_url=url)) == ["image_url"]


@pytest.mark.parametrize("name", ["../secrets", "/etc/passwd", "a//b", ""])
def test_an_object_outside_the_storage_is_refused(name: str) -> None:
    assert list(refused(object=name)) == ["object"]


@pytest.mark.parametrize(
    ("transformations", "path"),
    [
        ({"resize": {"width": 0}}, "transformations.resize.width"),
        ({"resize": {"height": -5}}, "transformations.resize.height"),
        ({"resize": {"width": 20_000}}, "transformations.resize.width"),
        ({"resize": {"width": "300"}}, "transformations.resize.width"),
        ({"resize": {"width": 30.5}}, "transformations.resize.width"),
        ({"resize": {"width": True}}, "transformations.resize.width"),
        ({"resize": {}}, "transformations.resize"),
        ({"resize": {"fit": "cover"}}, "transformations.resize"),
        ({"resize": {"width": 10, "fit": "fill"}}, "transformations.resize"),
        ({"resize": {"width": 10, "fit": "crop"}}, "transformations.resize.fit"),
        ({"resize": {"width": 10, "depth": 1}}, "transformations.resize.depth"),
        ({"format": "gif"}, "transformations.format"),
        ({"quality": 0}, "transformations.quality"),
        ({"quality": 101}, "transformations.quality"),
        ({"format": "png", "quality": 80}, "transformations.quality"),
        ({"background": "white"}, "transformations.background"),
        ({"background": "#12345"}, "transformations.background"),
        ({"rotate": 90}, "transformations.rotate"),
    ],
)
def test_a_transformation_that_makes_no_sense_is_refused_by_its_path(
    transformations: dict[str, Any], path: str
) -> None:
    assert list(refused(image_url=URL, transformations=transformations)) == [path]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = refused(image_url="ftp://x", transformations={"resize": {"width": 0}, "quality": 0}, prority=1)
    assert list(wrong) == ["image_url", "transformations.resize.width", "transformations.quality", "prority"]


def test_jpeg_is_another_name_of_jpg() -> None:
    assert accepted(image_url=URL, transformations={"format": "jpeg"})["transformations"] == {"format": "jpg"}


@pytest.mark.parametrize(
    ("given", "number"), [("critical", 1), ("HIGH", 2), ("normal", 5), ("low", 10), (0, 0), (100, 100)]
)
def test_priorities_are_names_or_numbers(given: Any, number: int) -> None:
    assert accepted(image_url=URL, priority=given)["priority"] == number


@pytest.mark.parametrize("priority", ["urgent", -1, 101, True, 1.5])
def test_other_priorities_are_refused(priority: Any) -> None:
    assert list(refused(image_url=URL, priority=priority)) == ["priority"]
