"""A scene as a ReportLab drawing, for the PDF."""

from __future__ import annotations

from typing import Any, Final, assert_never

from reportlab.graphics.shapes import Circle, Drawing, Polygon, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor

from jobyard.jobs.reports.charts.scene import Area, Box, Dot, Ink, Label, Line, Scene, Shape
from jobyard.jobs.reports.fonts import Typeface

COLOURS: Final[dict[Ink, Color]] = {
    Ink.FIRST: HexColor("#3457d5"),
    Ink.SECOND: HexColor("#0d9488"),
    Ink.TEXT: HexColor("#1d2433"),
    Ink.FAINT: HexColor("#667085"),
    Ink.GRID: HexColor("#e3e7ee"),
    Ink.TRACK: HexColor("#eef1f6"),
}


def to_drawing(scene: Scene, typeface: Typeface) -> Drawing:
    """The drawing, its texts set in `typeface`."""
    drawing = Drawing(scene.width, scene.height)
    for shape in scene.shapes:
        # Boxes without colour are there for the mouse only.
        if not (isinstance(shape, Box) and not shape.opacity):
            drawing.add(_element(shape, scene.height, typeface))
    return drawing


def _element(shape: Shape, height: float, typeface: Typeface) -> Any:
    match shape:
        case Box():
            return Rect(
                shape.x,
                height - shape.y - shape.height,
                shape.width,
                shape.height,
                rx=shape.radius,
                ry=shape.radius,
                fillColor=COLOURS[shape.ink],
                strokeColor=None,
            )
        case Line():
            flat = [number for x, y in shape.points for number in (x, height - y)]
            return PolyLine(
                flat, strokeColor=COLOURS[shape.ink], strokeWidth=shape.width, strokeLineJoin=1, strokeLineCap=1
            )
        case Area():
            flat = [number for x, y in shape.points for number in (x, height - y)]
            return Polygon(flat, fillColor=COLOURS[shape.ink], fillOpacity=shape.opacity, strokeColor=None)
        case Dot():
            return Circle(shape.x, height - shape.y, shape.radius, fillColor=COLOURS[shape.ink], strokeColor=None)
        case Label():
            return String(
                shape.x,
                height - shape.y,
                typeface.printable(shape.text),
                fontName=typeface.bold if shape.bold else typeface.regular,
                fontSize=shape.size,
                fillColor=COLOURS[shape.ink],
                textAnchor=shape.anchor,
            )
        case _:
            assert_never(shape)
