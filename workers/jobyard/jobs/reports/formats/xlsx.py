"""Excel: a sheet Summary with key figures, totals and native charts, and a sheet Data with every row.

Rows go through XlsxWriter's constant-memory mode: one is in memory, the others wait on disk until the file is packed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import IO, Any, Final

import xlsxwriter

from jobyard.jobs.reports.formats.csv import title
from jobyard.jobs.reports.period import Unit
from jobyard.jobs.reports.report import Chart, Kind, Report, Section
from jobyard.jobs.reports.wording import NUMERIC

LAST_ROW: Final = 1_048_575
"""Index of the last row that a sheet can have. What goes beyond continues on a sheet "Data 2"."""
LONGEST_TEXT: Final = 32_767

_NUMBER_FORMATS: Final = {
    Kind.ID: "0",
    Kind.COUNT: "#,##0",
    Kind.MONEY: "#,##0.00",
    Kind.SHARE: "0.0%",
    Kind.RATIO: "0.00",
    Kind.SECONDS: "#,##0",
    Kind.DATE: "yyyy-mm-dd",
    Kind.TIME: "yyyy-mm-dd hh:mm:ss",
}
_WIDTHS: Final = {Kind.TEXT: 24, Kind.TIME: 19, Kind.DATE: 12, Kind.MONEY: 14}
# How far apart the dates of a chart's axis are, and how they look.
_TICKS: Final = {
    Unit.DAY: (7, "days", "d mmm"),
    Unit.WEEK: (1, "months", "mmm yy"),
    Unit.MONTH: (3, "months", "mmm yy"),
}
_CHART_ROWS: Final = 17
_INKS: Final = ("#3457D5", "#0D9488")


def write_xlsx(report: Report, file: IO[bytes], *, last_row: int = LAST_ROW) -> None:
    """Write the workbook. Texts are written as texts: whatever they begin with, they are no formula and no link."""
    # Its own folder, so that nothing stays behind when the job is cancelled half way.
    with tempfile.TemporaryDirectory(prefix="jobyard-report-") as folder:
        workbook = xlsxwriter.Workbook(file, {"constant_memory": True, "tmpdir": folder, "remove_timezone": True})
        workbook.set_properties(
            {
                "title": report.title,
                "subject": f"{report.period}; {report.requester.scope}",
                "author": report.requester.name,
                "company": "Jobyard",
                "created": report.created,
            }
        )
        try:
            _Writer(workbook, report).write(last_row)
            workbook.close()
        finally:
            # Closing the workbook closes these too; after a failure it must not be closed, since that would write it.
            for sheet in workbook.worksheets():
                sheet.row_data_fh.close()


class _Writer:
    def __init__(self, workbook: Any, report: Report) -> None:
        self.workbook = workbook
        self.report = report
        self.title = workbook.add_format({"bold": True, "font_size": 18, "font_color": "#1D2433"})
        self.faint = workbook.add_format({"font_color": "#667085"})
        self.heading = workbook.add_format({"bold": True, "font_size": 13, "font_color": "#1D2433"})
        header = {"bold": True, "bg_color": "#3457D5", "font_color": "#FFFFFF", "valign": "vcenter"}
        self.header = workbook.add_format(header)
        self.header_right = workbook.add_format({**header, "align": "right"})
        self.formats = {
            kind: workbook.add_format({"num_format": code, "align": "right" if kind in NUMERIC else "left"})
            for kind, code in _NUMBER_FORMATS.items()
        }
        self.strong = {
            kind: workbook.add_format({"num_format": code, "bold": True}) for kind, code in _NUMBER_FORMATS.items()
        }
        self.change = workbook.add_format({"num_format": "+0.0%;-0.0%;0.0%", "font_color": "#667085"})
        self.points = workbook.add_format({"num_format": '+0.0" pp";-0.0" pp";0.0" pp"', "font_color": "#667085"})

    def write(self, last_row: int) -> None:
        self._summary(self.workbook.add_worksheet("Summary"))
        self._data(last_row)

    # ---------------------------------------------------------------------------------------------- cells

    def _cell(self, kind: Kind) -> Callable[[Any, int, int, Any], Any]:
        """What writes a value of this kind to (sheet, row, column)."""
        form = self.formats.get(kind)
        if kind is Kind.TEXT:
            return lambda sheet, row, column, value: sheet.write_string(row, column, _cut(str(value)))
        if kind is Kind.MONEY:
            return lambda sheet, row, column, value: sheet.write_number(row, column, int(value) / 100, form)
        if kind in (Kind.DATE, Kind.TIME):
            return lambda sheet, row, column, value: sheet.write_datetime(row, column, value, form)
        return lambda sheet, row, column, value: sheet.write_number(row, column, value, form)

    def _headers(self, sheet: Any, row: int, columns: tuple[Any, ...]) -> None:
        for number, column in enumerate(columns):
            form = self.header_right if column.kind in NUMERIC else self.header
            sheet.write_string(row, number, title(column, self.report.currency), form)

    # ---------------------------------------------------------------------------------------------- sheets

    def _summary(self, sheet: Any) -> None:
        report = self.report
        sheet.hide_gridlines(2)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.set_paper(9)
        sheet.set_column(0, 0, 30)
        sheet.set_column(1, 3, 16)
        sheet.set_row(0, 28)
        sheet.write_string(0, 0, report.title, self.title)
        lines = (
            f"{report.period} (UTC)",
            report.requester.scope,
            f"Asked for by {report.requester.name} ({report.requester.role}), made {report.created:%Y-%m-%d %H:%M} UTC",
        )
        for row, line in enumerate(lines, 1):
            sheet.write_string(row, 0, _cut(line), self.faint)
        row = 5
        if report.empty_note:
            sheet.write_string(row, 0, report.empty_note, self.heading)
            return
        row = self._figures(sheet, row) + 1
        for section in report.sections:
            row = self._section(sheet, row, section) + 2

    def _figures(self, sheet: Any, row: int) -> int:
        for column, name in enumerate(("Key figure", "This period", "Period before", "Change")):
            sheet.write_string(row, column, name, self.header_right if column else self.header)
        for figure in self.report.figures:
            row += 1
            scale = 100 if figure.kind is Kind.MONEY else 1
            unit = f" ({self.report.currency})" if figure.kind is Kind.MONEY else ""
            unit = " (s)" if figure.kind is Kind.SECONDS else unit
            sheet.write_string(row, 0, figure.label + unit)
            sheet.write_number(row, 1, figure.value / scale, self.strong[figure.kind])
            if figure.before is not None:
                sheet.write_number(row, 2, figure.before / scale, self.formats[figure.kind])
            if figure.kind is Kind.SHARE and figure.before is not None:
                sheet.write_number(row, 3, (figure.value - figure.before) * 100, self.points)
            elif figure.change is not None:
                sheet.write_number(row, 3, figure.change, self.change)
        return row + 1

    def _section(self, sheet: Any, row: int, section: Section) -> int:
        sheet.write_string(row, 0, section.title, self.heading)
        if section.note:
            sheet.write_string(row + 1, 0, section.note, self.faint)
        head = row + 2
        self._headers(sheet, head, section.columns)
        cells = [self._cell(column.kind) for column in section.columns]
        for number, values in enumerate(section.rows, head + 1):
            for column, (cell, value) in enumerate(zip(cells, values, strict=True)):
                cell(sheet, number, column, value)
        last = head + len(section.rows)
        if section.rows:
            sheet.insert_chart(row, 5, self._chart(section, head, last), {"object_position": 2})
        return max(last, row + _CHART_ROWS)

    def _chart(self, section: Section, head: int, last: int) -> Any:
        over_time = section.chart is Chart.OVER_TIME
        chart = self.workbook.add_chart({"type": "line" if over_time else "bar"})
        plotted = section.plotted
        for ink, column in zip(_INKS, plotted, strict=False):
            series = {"line": {"color": ink, "width": 2}} if over_time else {"fill": {"color": ink}, "gap": 45}
            labels = {} if over_time else {"data_labels": {"value": True, "num_format": "#,##0"}}
            chart.add_series(
                {
                    "name": ["Summary", head, column],
                    "categories": ["Summary", head + 1, 0, last, 0],
                    "values": ["Summary", head + 1, column, last, column],
                    **series,
                    **labels,
                }
            )
        quiet = {"line": {"none": True}, "num_font": {"color": "#667085"}}
        grid = {"major_gridlines": {"visible": True, "line": {"color": "#E3E7EE"}}}
        if over_time:
            every, of, look = _TICKS[self.report.period.unit]
            step = {"major_unit": every, "major_unit_type": of}
            chart.set_x_axis({**quiet, **step, "date_axis": True, "num_format": look})
            chart.set_y_axis({**quiet, **grid, "num_format": "#,##0", "min": 0})
        else:
            # A bar chart counts its rows from below; reversed, the first stands on top as in the table.
            chart.set_y_axis({**quiet, "reverse": True})
            chart.set_x_axis({"visible": False, "major_gridlines": {"visible": False}, "min": 0})
        chart.set_title({"name": section.title, "overlay": False, "name_font": {"size": 12, "color": "#1D2433"}})
        chart.set_legend({"position": "bottom"} if len(plotted) > 1 else {"none": True})
        chart.set_size({"width": 640, "height": 330})
        return chart

    def _data(self, last_row: int) -> None:
        """All rows, on as many sheets as they need."""
        columns = self.report.columns
        cells = list(enumerate(self._cell(column.kind) for column in columns))
        rows = self.report.rows(None)
        number = 0
        sheet, at = self._data_sheet(1), 0
        for values in rows:
            if at == last_row:
                sheet.autofilter(0, 0, at, len(columns) - 1)
                number += 1
                sheet, at = self._data_sheet(number + 1), 0
            at += 1
            for column, cell in cells:
                if values[column] is not None:
                    cell(sheet, at, column, values[column])
        sheet.autofilter(0, 0, at, len(columns) - 1)

    def _data_sheet(self, number: int) -> Any:
        sheet = self.workbook.add_worksheet("Data" if number == 1 else f"Data {number}")
        sheet.freeze_panes(1, 0)
        sheet.repeat_rows(0)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.set_paper(9)
        for column, meaning in enumerate(self.report.columns):
            sheet.set_column(column, column, _WIDTHS.get(meaning.kind, 12))
        self._headers(sheet, 0, self.report.columns)
        return sheet


def _cut(text: str) -> str:
    # XlsxWriter leaves out a text that is too long for a cell, without a word.
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
