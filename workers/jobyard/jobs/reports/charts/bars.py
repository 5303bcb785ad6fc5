"""A chart of a total by name: one horizontal bar a row, its name to the left, its figure to the right."""

from __future__ import annotations

from jobyard.jobs.reports.charts.scene import Box, Ink, Label, Scene, fitted, text_width
from jobyard.jobs.reports.report import Section
from jobyard.jobs.reports.wording import short, words


def bars_height(rows: int, size: float) -> float:
    """How high the chart of so many rows is, in points."""
    return rows * size * 2.2


def bars(section: Section, currency: str, width: float, size: float) -> Scene:
    """Lay the chart out on `width` points, with text of `size` points. Its height follows from the number of rows."""
    column = section.plotted[0]
    kind = section.columns[column].kind
    figures = [short(kind, row[column], currency) for row in section.rows]
    room = width * 0.44
    names = [fitted(str(row[0]), size, room) for row in section.rows]
    left = max((text_width(name, size) for name in names), default=0) + size
    right = width - max((text_width(figure, size) for figure in figures), default=0) - size
    longest = max((row[column] for row in section.rows), default=0) or 1

    description = f"{section.title}: " + ", ".join(
        f"{row[0]} {figure}" for row, figure in zip(section.rows, figures, strict=True)
    )
    scene = Scene(width, bars_height(len(section.rows), size), description)
    thick = size * 1.15
    for number, (row, name, figure) in enumerate(zip(section.rows, names, figures, strict=True)):
        middle = (number + 0.5) * size * 2.2
        tip = f"{row[0]}: " + ", ".join(
            f"{column.title} {words(column.kind, value, currency)}"
            for column, value in zip(section.columns[1:], row[1:], strict=True)
        )
        length = max(1.5, (right - left) * max(0, row[column]) / longest)
        scene.shapes.extend(
            [
                Label(left - size * 0.8, middle + size * 0.36, name, size, Ink.TEXT, "end"),
                Box(left, middle - thick / 2, length, thick, Ink.FIRST, min(2.5, length / 2), tip),
                Label(left + length + size * 0.6, middle + size * 0.36, figure, size, Ink.FAINT),
            ]
        )
    return scene
