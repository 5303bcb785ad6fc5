"""The layout of charts: round axes, nothing outside the picture, and what a reader sees also in words."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.jobs.reports.charts.axis import spread, ticks
from jobyard.jobs.reports.charts.bars import bars
from jobyard.jobs.reports.charts.funnel import funnel
from jobyard.jobs.reports.charts.over_time import over_time
from jobyard.jobs.reports.charts.scene import Box, Dot, Label, Line, Scene, fitted, text_width
from jobyard.jobs.reports.charts.svg import to_svg
from jobyard.jobs.reports.formats.pdf import widest
from jobyard.jobs.reports.period import Unit
from jobyard.jobs.reports.report import Chart, Column, Kind, Section

NAME, COUNT, SHARE = Column("Name", Kind.TEXT), Column("Sessions", Kind.COUNT), Column("Went on", Kind.SHARE)


@given(st.floats(1e-3, 1e15))
def test_ticks_start_at_zero_are_even_and_cover_the_highest_value(highest: float) -> None:
    marks = ticks(highest)
    assert marks[0] == 0
    assert marks[-1] >= highest * 0.999
    assert marks[-2] < highest
    assert 3 <= len(marks) <= 8
    assert marks[1] * (len(marks) - 1) == pytest.approx(marks[-1])


@given(st.integers(1, 2000), st.integers(1, 30))
def test_labels_are_spread_evenly_and_not_too_many(count: int, most: int) -> None:
    named = spread(count, most)
    assert named[0] == 0
    assert len(named) <= most
    assert len({after - before for before, after in pairwise(named)}) <= 1


@given(st.text(max_size=60), st.floats(20, 200))
def test_a_fitted_text_is_not_wider_than_its_room(text: str, room: float) -> None:
    assert text_width(fitted(text, 8, room), 8) <= room


@given(st.lists(st.floats(1, 300), min_size=1, max_size=12), st.floats(50, 800))
def test_cut_widths_fill_a_line_but_never_more(wanted: list[float], whole: float) -> None:
    cut = [min(width, widest(wanted, whole)) for width in wanted]
    assert sum(cut) == pytest.approx(min(whole, sum(wanted)))


def inside(scene: Scene) -> bool:
    slack = 0.5
    for shape in scene.shapes:
        match shape:
            case Box():
                edges = [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
                if not shape.opacity:  # what the mouse feels may reach over the edge
                    continue
            case Line():
                edges = list(shape.points)
            case Dot():
                edges = [(shape.x - shape.radius, shape.y), (shape.x + shape.radius, shape.y)]
            case Label():
                width = text_width(shape.text, shape.size)
                left = shape.x - {"start": 0, "middle": width / 2, "end": width}[shape.anchor]
                edges = [(left, shape.y), (left + width, shape.y)]
            case _:
                continue
        if not all(-slack <= x <= scene.width + slack and -slack <= y <= scene.height + slack for x, y in edges):
            return False
    return True


@pytest.mark.parametrize("count", [1, 2, 7, 31, 62])
@pytest.mark.parametrize("value", [0, 3, 1234567])
def test_a_chart_over_time_stays_in_its_picture(count: int, value: int) -> None:
    rows = [(date.fromordinal(738_000 + day), value * (day % 3), value) for day in range(count)]
    section = Section("Sessions", Chart.OVER_TIME, (Column("Day", Kind.DATE), COUNT, COUNT), rows, plotted=(1, 2))
    assert inside(over_time(section, Unit.DAY, "EUR", 500, 150, 8))


def test_bars_stay_in_their_picture_however_long_the_names_are() -> None:
    rows = [("W" * 200, 1_000_000), ("short", 0), ("", 17)]
    assert inside(bars(Section("Top", Chart.BARS, (NAME, COUNT), rows), "EUR", 240, 7))


def test_a_funnel_names_each_step_and_how_many_came_from_the_step_before() -> None:
    section = Section("Funnel", Chart.FUNNEL, (NAME, COUNT, SHARE), [("Visited", 200, 1.0), ("Bought", 50, 0.25)])
    scene = funnel(section, "EUR", 240, 7)
    assert inside(scene)
    told = [shape.text.replace("\u00a0", " ") for shape in scene.shapes if isinstance(shape, Label)]
    assert told == ["Visited", "200", "Bought", "50", "25.0 % of the step before"]
    lengths = [shape.width for shape in scene.shapes if isinstance(shape, Box)]
    assert lengths == [240, 240, 240, 60]


def test_bars_are_as_long_as_their_values_are_large() -> None:
    section = Section("Top", Chart.BARS, (NAME, COUNT), [("a", 400), ("b", 100)])
    long, short = (shape.width for shape in bars(section, "EUR", 240, 7).shapes if isinstance(shape, Box))
    assert long == pytest.approx(4 * short)


def test_svg_escapes_what_comes_from_the_database_and_says_in_words_what_it_shows() -> None:
    nasty = "</svg><script>alert(1)</script>"
    svg = to_svg(bars(Section("Top", Chart.BARS, (NAME, COUNT), [(nasty, 5)]), "EUR", 600, 7))
    assert "<script" not in svg
    root = ET.fromstring(svg)
    assert nasty in root.attrib["aria-label"]
    assert [element.tag for element in root] == ["text", "rect", "text"]
