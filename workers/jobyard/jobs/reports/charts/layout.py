"""Which chart a section gets."""

from __future__ import annotations

from typing import assert_never

from jobyard.jobs.reports.charts.bars import bars
from jobyard.jobs.reports.charts.funnel import funnel
from jobyard.jobs.reports.charts.over_time import over_time
from jobyard.jobs.reports.charts.scene import Scene
from jobyard.jobs.reports.report import Chart, Report, Section


def scene_of(section: Section, report: Report, width: float, size: float, *, over_time_height: float) -> Scene:
    """The chart of `section`, `width` points wide, with text of `size` points."""
    match section.chart:
        case Chart.OVER_TIME:
            return over_time(section, report.period.unit, report.currency, width, over_time_height, size)
        case Chart.BARS:
            return bars(section, report.currency, width, size)
        case Chart.FUNNEL:
            return funnel(section, report.currency, width, size)
    assert_never(section.chart)
