"""HTML: one self-contained page, to look at, send on or print. Light or dark as the reader's system is."""

from __future__ import annotations

from functools import lru_cache
from typing import IO

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from jobyard.jobs.reports.charts.layout import scene_of
from jobyard.jobs.reports.charts.svg import to_svg
from jobyard.jobs.reports.report import Chart, Column, Kind, Report, Section
from jobyard.jobs.reports.wording import NUMERIC, change, short, tone, words

_WIDE, _HALF, _OVER_TIME_HEIGHT, _TEXT = 1000.0, 470.0, 270.0, 12.0


def write_html(report: Report, file: IO[bytes], *, most_rows: int) -> None:
    """Write the page with the first `most_rows` rows; if there are more, it says how many and where they are."""
    page = _environment().get_template("report.html.j2")
    rows = report.rows(min(most_rows, report.row_count))
    # Chunk by chunk, so that the rows aren't all in memory as text. Everything in it passes through autoescape.
    page.stream(
        report=report,
        rows=rows,
        shown=min(most_rows, report.row_count),
        chart=lambda section: _chart(section, report),
        full=lambda column, value: words(column.kind, value, report.currency, cents=True),
        total=lambda column, value: words(column.kind, value, report.currency),
        short=lambda figure: short(figure.kind, figure.value, report.currency),
        short_before=lambda figure: short(figure.kind, figure.before, report.currency),
        compared=any(figure.before is not None for figure in report.figures),
        in_full=lambda figure: words(figure.kind, figure.value, report.currency),
        change=change,
        tone=tone,
        look=_look,
        over_time=Chart.OVER_TIME,
    ).dump(file, encoding="utf-8")


def _chart(section: Section, report: Report) -> str:
    width = _WIDE if section.chart is Chart.OVER_TIME else _HALF
    return to_svg(scene_of(section, report, width, _TEXT, over_time_height=_OVER_TIME_HEIGHT))


def _look(column: Column) -> Markup:
    if column.kind in NUMERIC:
        return Markup(' class="number"')
    return Markup(' class="time"') if column.kind in (Kind.TIME, Kind.DATE) else Markup("")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("jobyard.jobs.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
