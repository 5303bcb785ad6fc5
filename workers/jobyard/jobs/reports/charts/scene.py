"""A picture as plain shapes with named colours, so that one layout serves the page, light or dark, and the PDF.

Lengths are points; y grows downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from reportlab.pdfbase.pdfmetrics import stringWidth

from jobyard.jobs.reports.fonts import BUILT_IN

Anchor = Literal["start", "middle", "end"]


class Ink(StrEnum):
    """What a colour is for; each renderer has its own shades."""

    FIRST = "first"
    SECOND = "second"
    TEXT = "text"
    FAINT = "faint"
    GRID = "grid"
    TRACK = "track"


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    ink: Ink
    radius: float = 0.0
    tip: str = ""
    """What a mouse over it shows."""
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    points: Sequence[tuple[float, float]]
    ink: Ink
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Area:
    points: Sequence[tuple[float, float]]
    ink: Ink
    opacity: float


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    radius: float
    ink: Ink


@dataclass(frozen=True, slots=True)
class Label:
    """Text whose baseline is at y."""

    x: float
    y: float
    text: str
    size: float
    ink: Ink = Ink.TEXT
    anchor: Anchor = "start"
    bold: bool = False


Shape = Box | Line | Area | Dot | Label


@dataclass(frozen=True, slots=True)
class Scene:
    """The picture.

    Attributes:
        description: what it shows, in words, for those who can't see it.
    """

    width: float
    height: float
    description: str
    shapes: list[Shape] = field(default_factory=list)


def text_width(text: str, size: float, font: str = BUILT_IN.regular) -> float:
    """How wide a text is in the PDF's own font; on a page, where the reader's font is not known, a little less."""
    return float(stringWidth(text, font, size))


def fitted(text: str, size: float, width: float, font: str = BUILT_IN.regular) -> str:
    """`text`, its end replaced by "…" where it is wider than `width`."""
    if text_width(text, size, font) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle] + "…", size, font) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"
