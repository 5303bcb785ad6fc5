"""PDF: A4 pages to print or to send on: key figures, charts, totals, and the first rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any, Final
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from jobyard.jobs.reports.charts.drawing import COLOURS, to_drawing
from jobyard.jobs.reports.charts.layout import scene_of
from jobyard.jobs.reports.charts.scene import Ink, fitted, text_width
from jobyard.jobs.reports.fonts import Typeface
from jobyard.jobs.reports.formats.pdf_pages import numbered_pages
from jobyard.jobs.reports.report import Chart, Column, KeyFigure, Report, Section
from jobyard.jobs.reports.wording import NUMERIC, change, short, tone, words

_SIDE: Final = 15 * mm
_TOP: Final = 16 * mm
_BOTTOM: Final = 18 * mm
_WIDTH: Final = A4[0] - 2 * _SIDE
_GAP: Final = 8 * mm
_HALF: Final = (_WIDTH - _GAP) / 2
_CHART_TEXT: Final = 7.0
_TABLE_TEXT: Final = 7.0

_TEXT, _FAINT, _EDGE = COLOURS[Ink.TEXT], COLOURS[Ink.FAINT], COLOURS[Ink.GRID]
_STRIPE: Final = HexColor("#f6f7fb")
_TONES: Final = {"good": HexColor("#15803d"), "bad": HexColor("#b42318"), "flat": _FAINT}
_CELL_SIDE: Final = 4.0


def write_pdf(report: Report, file: IO[bytes], *, most_rows: int, typeface: Typeface) -> None:
    """Write the document with the first `most_rows` rows; if there are more, it says how many and where they are."""
    document = BaseDocTemplate(
        file,
        title=f"{report.title}, {report.period}",
        author=typeface.printable(report.requester.name),
        subject=report.requester.scope,
        creator="Jobyard",
        lang="en",
        pageTemplates=_pages(),
    )
    document.build(_Writer(report, typeface).story(most_rows), canvasmaker=numbered_pages(report, typeface, _SIDE))


def _pages() -> list[PageTemplate]:
    height = A4[1] - _TOP - _BOTTOM

    def frame(x: float, width: float, tall: float = height) -> Frame:
        return Frame(x, _BOTTOM, width, tall, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)

    wide, low = landscape(A4)
    return [
        PageTemplate("summary", [frame(_SIDE, _WIDTH)], pagesize=A4),
        PageTemplate("totals", [frame(_SIDE, _HALF), frame(_SIDE + _HALF + _GAP, _HALF)], pagesize=A4),
        PageTemplate("rows", [frame(_SIDE, wide - 2 * _SIDE, low - _TOP - _BOTTOM)], pagesize=(wide, low)),
    ]


class _Writer:
    def __init__(self, report: Report, typeface: Typeface) -> None:
        self.report = report
        self.typeface = typeface

    def story(self, most_rows: int) -> list[Flowable]:
        report = self.report
        story = self._head()
        if report.empty_note:
            return [*story, Spacer(0, 16 * mm), self._text(report.empty_note, 11, _FAINT)]
        story += [Spacer(0, 5 * mm), self._figures(), Spacer(0, 2 * mm), self._compared(), *self._charts()]
        story += [NextPageTemplate("totals"), PageBreak(), *self._totals()]
        shown = min(most_rows, report.row_count)
        if shown:
            story += [NextPageTemplate("rows"), PageBreak(), *self._rows(shown)]
        return story

    # ---------------------------------------------------------------------------------------------- text

    def _text(
        self, text: str, size: float, colour: Color = _TEXT, *, bold: bool = False, right: bool = False
    ) -> Paragraph:
        look = ParagraphStyle(
            "text",
            fontName=self.typeface.bold if bold else self.typeface.regular,
            fontSize=size,
            leading=size * 1.35,
            textColor=colour,
            **({"alignment": TA_RIGHT} if right else {}),
        )
        # A paragraph reads markup; what comes from the database is none.
        return Paragraph(escape(self.typeface.printable(text)), look)

    def _heading(self, text: str) -> Paragraph:
        return self._text(text, 10, bold=True)

    def _head(self) -> list[Flowable]:
        report = self.report
        who = report.requester
        made = f"Asked for by {who.name} ({who.role}). Made {report.created:%Y-%m-%d %H:%M} UTC. Days are in UTC."
        return [
            self._text(report.title, 22, bold=True),
            Spacer(0, 1.5 * mm),
            self._text(str(report.period), 11),
            Spacer(0, 1 * mm),
            self._text(who.scope, 9, bold=True),
            self._text(made, 8, _FAINT),
        ]

    # ---------------------------------------------------------------------------------------------- summary

    def _figures(self) -> Table:
        """Three key figures a line."""
        figures = self.report.figures
        lines = [[self._figure(figure) for figure in figures[at : at + 3]] for at in range(0, len(figures), 3)]
        look = [
            ("BOX", (column, line), (column, line), 0.75, _EDGE)
            for line, cells in enumerate(lines)
            for column in range(len(cells))
        ]
        table = Table(lines, colWidths=[_WIDTH / 3] * 3)
        table.setStyle(TableStyle([*look, *_padding(4 * mm, 2.6 * mm)]))
        return table

    def _figure(self, figure: KeyFigure) -> list[Flowable]:
        cell: list[Flowable] = [
            self._text(figure.label, 8, _FAINT),
            self._text(short(figure.kind, figure.value, self.report.currency), 15, bold=True),
        ]
        moved = change(figure)
        cell.append(self._text(f"{moved} from {self._before(figure)}" if moved else " ", 7.5, _TONES[tone(figure)]))
        return cell

    def _before(self, figure: KeyFigure) -> str:
        return "" if figure.before is None else short(figure.kind, figure.before, self.report.currency)

    def _compared(self) -> Paragraph:
        before = self.report.period.before()
        known = any(figure.before is not None for figure in self.report.figures)
        told = f"Changes are against {before}." if known else f"There is no data of {before} to compare with."
        return self._text(told, 7.5, _FAINT)

    def _charts(self) -> list[Flowable]:
        """Charts over time take the whole width, the others stand in pairs."""
        story: list[Flowable] = []
        pair: list[list[Flowable]] = []
        for section in self.report.sections:
            if section.chart is Chart.OVER_TIME:
                story += [Spacer(0, 6 * mm), KeepTogether(self._chart(section, _WIDTH))]
                continue
            pair.append(self._chart(section, _HALF))
            if len(pair) == 2:
                story += [Spacer(0, 6 * mm), _side_by_side(pair)]
                pair = []
        if pair:
            story += [Spacer(0, 6 * mm), _side_by_side([*pair, []])]
        return story

    def _chart(self, section: Section, width: float) -> list[Flowable]:
        scene = scene_of(section, self.report, width, _CHART_TEXT, over_time_height=150)
        note = [self._text(section.note, 7.5, _FAINT)] if section.note else []
        return [self._heading(section.title), Spacer(0, 2.5 * mm), to_drawing(scene, self.typeface), *note]

    # ---------------------------------------------------------------------------------------------- tables

    def _totals(self) -> list[Flowable]:
        story: list[Flowable] = []
        for section in self.report.sections:
            cells = [
                [
                    words(column.kind, value, self.report.currency)
                    for column, value in zip(section.columns, row, strict=True)
                ]
                for row in section.rows
            ]
            # The label column takes what the figures leave.
            narrow = 20 * mm
            widths = [_HALF - narrow * (len(section.columns) - 1), *[narrow] * (len(section.columns) - 1)]
            table = self._table(section.columns, cells, widths)
            heading = self._heading(section.title)
            heading.keepWithNext = True
            table.spaceBefore, table.spaceAfter = 1.5 * mm, 6 * mm
            story += [heading, table]
        return story

    def _rows(self, shown: int) -> list[Flowable]:
        report = self.report
        columns = report.columns
        if shown < report.row_count:
            note = (
                f"The first {shown:,} of {report.row_count:,} {report.noun}; {report.row_count - shown:,} are left out "
                "here. The same report as csv or xlsx has all of them."
            )
        else:
            note = f"All {report.row_count:,} {report.noun}."
        cells = [
            [words(column.kind, value, report.currency, cents=True) for column, value in zip(columns, row, strict=True)]
            for row in report.rows(shown)
        ]
        return [
            self._heading(report.noun.capitalize()),
            self._text(note, 8, _FAINT),
            Spacer(0, 3 * mm),
            self._table(columns, cells, self._widths(columns, cells, landscape(A4)[0] - 2 * _SIDE)),
        ]

    def _widths(self, columns: Sequence[Column], cells: list[list[str]], whole: float) -> list[float]:
        """Widths of columns that fill `whole` points, by what is in them. If that is too much, the widest are cut."""
        wanted = [text_width(column.title, _TABLE_TEXT, self.typeface.bold) for column in columns]
        for row in cells:
            wanted = [
                max(width, text_width(text, _TABLE_TEXT, self.typeface.regular))
                for width, text in zip(wanted, row, strict=True)
            ]
        wanted = [width + 2 * _CELL_SIDE for width in wanted]
        most = widest(wanted, whole)
        spare = max(0.0, whole - sum(wanted)) / len(wanted)
        return [min(width, most) + spare for width in wanted]

    def _table(self, columns: Sequence[Column], cells: list[list[str]], widths: list[float]) -> Table:
        room = [width - 2 * _CELL_SIDE for width in widths]
        size, typeface = _TABLE_TEXT, self.typeface

        def fit(row: Sequence[str], font: str) -> list[str]:
            return [fitted(typeface.printable(text), size, width, font) for text, width in zip(row, room, strict=True)]

        lines = [fit([column.title for column in columns], typeface.bold)]
        lines += [fit(row, typeface.regular) for row in cells]
        table = Table(lines, colWidths=widths, repeatRows=1)
        look: list[Any] = [
            ("FONT", (0, 0), (-1, -1), typeface.regular, size, size * 1.2),
            ("FONT", (0, 0), (-1, 0), typeface.bold, size, size * 1.2),
            ("TEXTCOLOR", (0, 0), (-1, -1), _TEXT),
            ("TEXTCOLOR", (0, 0), (-1, 0), _FAINT),
            ("LINEBELOW", (0, 0), (-1, 0), 0.75, _FAINT),
            ("LINEBELOW", (0, 1), (-1, -1), 0.4, _EDGE),
            ("ROWBACKGROUNDS", (0, 1), (-1, -1), [white, _STRIPE]),
            *_padding(_CELL_SIDE, 2.2),
        ]
        for number, column in enumerate(columns):
            if column.kind in NUMERIC:
                look.append(("ALIGN", (number, 0), (number, -1), "RIGHT"))
        table.setStyle(TableStyle(look))
        return table


def widest(wanted: Sequence[float], whole: float) -> float:
    """The limit to which widths must be cut so that they add up to at most `whole`."""
    left, count = whole, len(wanted)
    for width in sorted(wanted):
        if width * count > left:
            return left / count
        left -= width
        count -= 1
    return max(wanted, default=whole)


def _side_by_side(pair: Sequence[list[Flowable]]) -> Table:
    table = Table([list(pair)], colWidths=[_HALF + _GAP, _HALF])
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), *_padding(0, 0)]))
    return table


def _padding(sides: float, ends: float) -> list[tuple[Any, ...]]:
    everywhere = (0, 0), (-1, -1)
    return [
        ("LEFTPADDING", *everywhere, sides),
        ("RIGHTPADDING", *everywhere, sides),
        ("TOPPADDING", *everywhere, ends),
        ("BOTTOMPADDING", *everywhere, ends),
    ]
