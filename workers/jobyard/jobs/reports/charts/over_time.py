"""A chart of totals over time: a line for each plotted column, the first one over a filled area."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobyard.jobs.reports.charts.axis import spread, ticks
from jobyard.jobs.reports.charts.scene import Area, Box, Dot, Ink, Label, Line, Scene, text_width
from jobyard.jobs.reports.period import Unit
from jobyard.jobs.reports.report import Kind, Section
from jobyard.jobs.reports.wording import point, short, words

_INKS: Final = (Ink.FIRST, Ink.SECOND)


def over_time(section: Section, unit: Unit, currency: str, width: float, height: float, size: float) -> Scene:
    """Lay the chart out on `width` × `height` points, with text of `size` points."""
    kind = section.columns[section.plotted[0]].kind
    # Counts have no halves, so small ones get no ticks between.
    top = max((row[column] for row in section.rows for column in section.plotted), default=0)
    marks = [mark for mark in ticks(top) if kind is not Kind.COUNT or mark == int(mark)]
    labels = [short(kind, mark, currency, tick=True) for mark in marks]
    left = max(text_width(label, size) for label in labels) + size
    right = width - size * 1.5
    above = size * 2.6 if len(section.plotted) > 1 else size * 0.9
    below = height - size * 2.2

    def y(value: float) -> float:
        # The axis starts at 0; a total below it (more credit notes than sales) lies on it, and the table has the figure.
        return below - (below - above) * max(0.0, value) / marks[-1]

    def x(index: int) -> float:
        return left + (right - left) * (index / (len(section.rows) - 1) if len(section.rows) > 1 else 0.5)

    scene = Scene(width, height, _description(section, unit, currency))
    for mark, label in zip(marks, labels, strict=True):
        scene.shapes.append(Line([(left, y(mark)), (right, y(mark))], Ink.GRID, 0.75))
        scene.shapes.append(Label(left - size * 0.7, y(mark) + size * 0.35, label, size, Ink.FAINT, "end"))
    _name_points(scene, section, unit, x, height, size)
    if len(section.plotted) > 1:
        _legend(scene, section, left, size)
    for ink, column in zip(_INKS, section.plotted, strict=False):
        points = [(x(index), y(row[column])) for index, row in enumerate(section.rows)]
        if ink is Ink.FIRST and len(points) > 1:
            scene.shapes.append(Area([(points[0][0], below), *points, (points[-1][0], below)], ink, 0.12))
        scene.shapes.append(Line(points, ink, size * 0.19))
        # Few points deserve a mark each; many would be a string of beads.
        if len(points) <= 31:
            scene.shapes.extend(Dot(*at, size * 0.24, ink) for at in points)
    _tips(scene, section, unit, currency, x, above, below)
    return scene


def _name_points(
    scene: Scene, section: Section, unit: Unit, x: Callable[[int], float], height: float, size: float
) -> None:
    named = spread(len(section.rows), int(scene.width // (size * 7)))
    years = {row[0].year for row in section.rows}
    for place, index in enumerate(named):
        day = section.rows[index][0]
        # The year where it is new, so that the other labels stay short.
        new_year = len(years) > 1 and (place == 0 or day.year != section.rows[named[place - 1]][0].year)
        text = point(unit, day, with_year=new_year)
        half = text_width(text, size) / 2
        at = min(max(x(index), half), scene.width - half)
        scene.shapes.append(Label(at, height - size * 0.5, text, size, Ink.FAINT, "middle"))


def _legend(scene: Scene, section: Section, left: float, size: float) -> None:
    at = left
    for ink, column in zip(_INKS, section.plotted, strict=False):
        scene.shapes.append(Box(at, size * 0.35, size * 0.8, size * 0.8, ink, size * 0.2))
        title = section.columns[column].title
        scene.shapes.append(Label(at + size * 1.2, size * 1.05, title, size, Ink.TEXT))
        at += size * 3 + text_width(title, size)


def _tips(
    scene: Scene, section: Section, unit: Unit, currency: str, x: Callable[[int], float], above: float, below: float
) -> None:
    """Invisible columns that say the figures of a point to the mouse."""
    if len(section.rows) < 2:
        return
    step = x(1) - x(0)
    for index, row in enumerate(section.rows):
        figures = (
            f"{section.columns[column].title} {words(section.columns[column].kind, row[column], currency)}"
            for column in section.plotted
        )
        tip = f"{_unit_words(unit)}{point(unit, row[0], with_year=True)}: {', '.join(figures)}"
        scene.shapes.append(Box(x(index) - step / 2, above, step, below - above, Ink.FIRST, 0, tip, opacity=0))


def _unit_words(unit: Unit) -> str:
    return "Week from " if unit is Unit.WEEK else ""


def _description(section: Section, unit: Unit, currency: str) -> str:
    column = section.plotted[0]
    kind = section.columns[column].kind
    low = min(section.rows, key=lambda row: row[column])
    high = max(section.rows, key=lambda row: row[column])

    def said(row: tuple[object, ...]) -> str:
        return f"{words(kind, row[column], currency)} ({_unit_words(unit).lower()}{words(Kind.DATE, row[0], currency)})"

    return f"{section.title}: between {said(low)} and {said(high)}"
