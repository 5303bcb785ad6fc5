"""How images are cut, scaled and padded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.jobs.images.payload import Resize
from jobyard.jobs.images.plan import Plan, plan

WHOLE = (1.0, 1.0)


def planned(source: tuple[int, int], **resize: Any) -> Plan:
    return plan(source, Resize(**resize))


def test_without_resize_the_size_stays() -> None:
    assert plan((640, 480), None) == Plan(WHOLE, (640, 480), (640, 480))


@pytest.mark.parametrize("fit", ["inside", "contain", "cover"])
def test_one_side_gives_the_other_by_the_proportions(fit: str) -> None:
    assert planned((6000, 4000), width=300, fit=fit) == Plan(WHOLE, (300, 200), (300, 200))
    assert planned((6000, 4000), height=100, fit=fit) == Plan(WHOLE, (150, 100), (150, 100))


def test_inside_keeps_the_proportions_within_the_box() -> None:
    assert planned((6000, 4000), width=300, height=300) == Plan(WHOLE, (300, 200), (300, 200))
    assert planned((4000, 6000), width=300, height=300) == Plan(WHOLE, (200, 300), (200, 300))


def test_contain_is_inside_on_a_canvas_of_exactly_the_size() -> None:
    assert planned((6000, 4000), width=300, height=300, fit="contain") == Plan(WHOLE, (300, 200), (300, 300))


def test_cover_cuts_what_stands_out_at_both_ends() -> None:
    assert planned((6000, 4000), width=300, height=300, fit="cover") == Plan((4000 / 6000, 1.0), (300, 300), (300, 300))
    assert planned((6000, 4000), width=600, height=200, fit="cover") == Plan((1.0, 0.5), (600, 200), (600, 200))


def test_fill_stretches() -> None:
    assert planned((60, 40), width=300, height=300, fit="fill") == Plan(WHOLE, (300, 300), (300, 300))


@pytest.mark.parametrize(
    ("fit", "scaled", "canvas"),
    [("inside", (60, 40), (60, 40)), ("contain", (60, 40), (300, 100)), ("cover", (60, 20), (60, 20))],
)
def test_small_images_are_not_enlarged(fit: str, scaled: tuple[int, int], canvas: tuple[int, int]) -> None:
    steps = planned((60, 40), width=300, height=100, fit=fit)
    assert (steps.scaled, steps.canvas) == (scaled, canvas)


@pytest.mark.parametrize(
    ("fit", "scaled", "canvas"),
    [("inside", (150, 100), (150, 100)), ("contain", (150, 100), (300, 100)), ("cover", (300, 100), (300, 100))],
)
def test_small_images_are_enlarged_if_asked(fit: str, scaled: tuple[int, int], canvas: tuple[int, int]) -> None:
    steps = planned((60, 40), width=300, height=100, fit=fit, upscale=True)
    assert (steps.scaled, steps.canvas) == (scaled, canvas)


def test_one_side_does_not_enlarge_either() -> None:
    assert planned((60, 40), width=300).scaled == (60, 40)
    assert planned((60, 40), height=80, upscale=True).scaled == (120, 80)


def test_a_line_stays_at_least_one_pixel_high() -> None:
    assert planned((10_000, 1), width=100).scaled == (100, 1)


sides = st.integers(1, 16_383)


@given(st.tuples(sides, sides), sides, sides, st.sampled_from(["inside", "contain", "cover", "fill"]), st.booleans())
def test_the_result_is_never_larger_than_asked_and_the_cut_never_larger_than_the_source(
    source: tuple[int, int], width: int, height: int, fit: str, upscale: bool
) -> None:
    steps = planned(source, width=width, height=height, fit=fit, upscale=upscale)
    assert 1 <= steps.canvas[0] <= width
    assert 1 <= steps.canvas[1] <= height
    assert all(0 < part <= 1 for part in steps.keep)
    assert all(scaled <= canvas for scaled, canvas in zip(steps.scaled, steps.canvas, strict=True))
    if fit in ("contain", "fill") or (upscale and fit == "cover"):
        assert steps.canvas == (width, height)
    if fit != "fill" and not upscale:
        assert all(scaled <= side for scaled, side in zip(steps.scaled, source, strict=True))


@given(st.tuples(sides, sides), sides, sides, st.sampled_from(["inside", "contain", "cover"]))
def test_the_plan_of_a_turned_image_is_the_turned_plan(
    source: tuple[int, int], width: int, height: int, fit: str
) -> None:
    upright = planned(source, width=width, height=height, fit=fit)
    assert planned(source[::-1], width=height, height=width, fit=fit) == upright.turned()
