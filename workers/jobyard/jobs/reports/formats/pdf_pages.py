"""The foot of every PDF page. It names the number of pages, so all pages are kept until the last one is known."""

from __future__ import annotations

from typing import Any

from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from jobyard.jobs.reports.charts.drawing import COLOURS
from jobyard.jobs.reports.charts.scene import Ink
from jobyard.jobs.reports.fonts import Typeface
from jobyard.jobs.reports.report import Report


def numbered_pages(report: Report, typeface: Typeface, side: float) -> type[Canvas]:
    """The class of canvas that ReportLab wants. `side`: the margin to the left and right, in points."""

    class NumberedPages(Canvas):  # type: ignore[misc] # ReportLab has no types.
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - ReportLab's name
            self.pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self.pages, 1):
                self.__dict__.update(page)
                self._foot(number, len(self.pages))
                super().showPage()
            super().save()

        def _foot(self, number: int, of: int) -> None:
            width = self._pagesize[0]
            self.setStrokeColor(COLOURS[Ink.GRID])
            self.setLineWidth(0.75)
            self.line(side, 13 * mm, width - side, 13 * mm)
            self.setFont(typeface.regular, 7)
            self.setFillColor(COLOURS[Ink.FAINT])
            self.drawString(side, 9 * mm, typeface.printable(f"{report.title}, {report.period}"))
            self.drawRightString(width - side, 9 * mm, f"Page {number} of {of}")
            # Only now is every text of the document known.
            if typeface.lacking:
                told = "Characters that the font of this document lacks are replaced; the report as html has them."
                self.drawString(side, 5.5 * mm, told)

    return NumberedPages
