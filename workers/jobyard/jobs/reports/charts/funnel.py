"""A funnel: how many came to each step, and which part of the step before that is."""

from __future__ import annotations

from jobyard.jobs.reports.charts.scene import Box, Ink, Label, Scene, text_width
from jobyard.jobs.reports.report import Section
from jobyard.jobs.reports.wording import words


def funnel_height(rows: int, size: float) -> float:
    """How high the chart of so many steps is, in points."""
    return rows * size * 3.1


def funnel(section: Section, currency: str, width: float, size: float) -> Scene:
    """Lay the chart out on `width` points, with text of `size` points.

    The columns of the section: step, how many, part of the step before.
    """
    counts = [words(section.columns[1].kind, row[1], currency) for row in section.rows]
    parts = [words(section.columns[2].kind, row[2], currency) for row in section.rows]
    first = section.rows[0][1] or 1
    description = f"{section.title}: " + ", ".join(
        f"{row[0]} {count} ({part} of the step before)" if number else f"{row[0]} {count}"
        for number, (row, count, part) in enumerate(zip(section.rows, counts, parts, strict=True))
    )
    scene = Scene(width, funnel_height(len(section.rows), size), description)
    for number, (row, count, part) in enumerate(zip(section.rows, counts, parts, strict=True)):
        top = number * size * 3.1
        text_y = top + size * 1.1
        bar_y, thick = top + size * 1.5, size * 0.95
        length = max(2.0, width * row[1] / first)
        tip = f"{row[0]}: {count}, {row[1] / first * 100:.1f}\u00a0% of all"
        scene.shapes.extend(
            [
                Label(0, text_y, str(row[0]), size, Ink.TEXT),
                Box(0, bar_y, width, thick, Ink.TRACK, min(2.5, thick / 2)),
                Box(0, bar_y, length, thick, Ink.FIRST, min(2.5, length / 2), tip),
                Label(width, text_y, count, size, Ink.TEXT, "end", bold=True),
            ]
        )
        if number:
            at = width - text_width(count, size) * 1.15 - size * 0.9
            scene.shapes.append(Label(at, text_y, f"{part} of the step before", size, Ink.FAINT, "end"))
    return scene
