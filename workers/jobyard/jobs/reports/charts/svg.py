"""A scene as inline SVG. Its colours are classes, so the page's style sheet decides them, for light and for dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never
from xml.etree import ElementTree as ET

from jobyard.jobs.reports.charts.scene import Area, Box, Dot, Label, Line, Scene, Shape


def to_svg(scene: Scene) -> str:
    """The `<svg>` element. It is built as a tree, so every text in it is escaped."""
    look = {"viewBox": f"0 0 {scene.width:.0f} {scene.height:.0f}", "role": "img", "aria-label": scene.description}
    svg = ET.Element("svg", look)
    for shape in scene.shapes:
        _add(svg, shape)
    return ET.tostring(svg, encoding="unicode")


def _add(svg: ET.Element, shape: Shape) -> None:
    match shape:
        case Box():
            # A box without colour is still there for the mouse.
            colour = f"fill-{shape.ink}" if shape.opacity else "tip"
            size = _numbers(x=shape.x, y=shape.y, width=shape.width, height=shape.height, rx=shape.radius)
            box = ET.SubElement(svg, "rect", {**size, "class": colour})
            if shape.tip:
                ET.SubElement(box, "title").text = shape.tip
        case Line():
            look = {"points": _points(shape.points), "class": f"line-{shape.ink}", "stroke-width": f"{shape.width:.2f}"}
            ET.SubElement(svg, "polyline", look)
        case Area():
            look = {"points": _points(shape.points), "class": f"fill-{shape.ink}", "fill-opacity": f"{shape.opacity}"}
            ET.SubElement(svg, "polygon", look)
        case Dot():
            place = _numbers(cx=shape.x, cy=shape.y, r=shape.radius)
            ET.SubElement(svg, "circle", {**place, "class": f"fill-{shape.ink}"})
        case Label():
            look = {"font-size": f"{shape.size:g}", "text-anchor": shape.anchor, "class": f"fill-{shape.ink}"}
            if shape.bold:
                look["font-weight"] = "600"
            ET.SubElement(svg, "text", {**_numbers(x=shape.x, y=shape.y), **look}).text = shape.text
        case _:
            assert_never(shape)


def _numbers(**values: float) -> dict[str, str]:
    return {name: f"{value:.1f}" for name, value in values.items()}


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
