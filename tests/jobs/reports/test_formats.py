"""Each report in each format, opened by a real reader and held against figures that plain SQL gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pypdf import PdfReader

from .conftest import Make

Ask = Callable[..., list[Any]]

MARCH = {"start": "2025-03-01", "end": "2025-03-31"}
IN_MARCH = "BETWEEN '2025-03-01 00:00:00' AND '2025-03-31 23:59:59'"


class Page(HTMLParser):
    """The texts of a page: everything, and the tables' cells."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self._in_cell = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        data = data.replace("\u00a0", " ")
        self.text.append(data.strip())
        if self._in_cell:
            self.tables[-1][-1][-1] += data


def pdf_text(path: Path) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(path).pages).replace("\u00a0", " ")


# ------------------------------------------------------------------------------------------------------------ sales


def test_sales_csv_has_every_order_with_exact_amounts(make: Make, ask: Ask) -> None:
    made = make("sales", "csv", date_range=MARCH)
    raw = made.path.read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") == made.result["rows"] + 1
    rows = made.rows()
    expected = ask(
        "SELECT o.id, o.placed_at, r.name, c.name, p.name, p.category, o.channel, o.quantity, o.unit_price, o.total, "
        "o.status FROM orders o JOIN customers c ON c.id = o.customer_id JOIN regions r ON r.id = c.region_id "
        f"JOIN products p ON p.id = o.product_id WHERE placed_at {IN_MARCH} ORDER BY o.placed_at, o.id"
    )
    assert [list(row.values()) for row in rows] == [
        [str(value) for value in row[:8]] + [f"{row[8] / 100:.2f}", f"{row[9] / 100:.2f}", row[10]] for row in expected
    ]
    assert list(rows[0])[8:10] == ["Unit price (EUR)", "Total (EUR)"]


def test_sales_xlsx_has_typed_rows_totals_and_native_charts(make: Make, ask: Ask) -> None:
    made = make("sales", "xlsx", date_range=MARCH)
    book = openpyxl.load_workbook(made.path)
    assert book.sheetnames == ["Summary", "Data"]
    data = book["Data"]
    assert data.freeze_panes == "A2"
    assert data.auto_filter.ref == f"A1:K{made.result['rows'] + 1}"
    rows = list(data.iter_rows(min_row=2, values_only=True))
    ids, totals = zip(
        *ask(f"SELECT id, total FROM orders WHERE placed_at {IN_MARCH} ORDER BY placed_at, id"), strict=True
    )
    assert [row[0] for row in rows] == list(ids)
    assert [round(float(str(row[9])) * 100) for row in rows] == list(totals)
    assert isinstance(rows[0][1], datetime)
    assert data["B2"].number_format == "yyyy-mm-dd hh:mm:ss"
    assert data["J2"].number_format == "#,##0.00"

    summary: Any = book["Summary"]
    (revenue,) = ask(f"SELECT sum(total) FROM orders WHERE status = 'paid' AND placed_at {IN_MARCH}")
    (february,) = ask(
        "SELECT sum(total) FROM orders WHERE status = 'paid' "
        "AND placed_at BETWEEN '2025-02-01 00:00:00' AND '2025-02-28 23:59:59'"
    )
    cells = {row[0]: row[1:4] for row in summary.iter_rows(values_only=True) if row[0]}
    assert cells["Revenue (EUR)"] == pytest.approx((revenue / 100, february / 100, revenue / february - 1))
    titles = [chart.title.tx.rich.p[0].r[0].t for chart in summary._charts]
    assert titles == ["Revenue by day", "Revenue by region", "Revenue by category", "Top products", "Top customers"]
    assert [type(chart).__name__ for chart in summary._charts] == ["LineChart", *["BarChart"] * 4]


def test_sales_html_shows_totals_charts_and_the_first_orders(make: Make, ask: Ask) -> None:
    made = make("sales", "html", date_range=MARCH)
    page = Page(made.path)
    (count, paid) = ask(
        f"SELECT count(*), count(*) FILTER (WHERE status = 'paid') FROM orders WHERE placed_at {IN_MARCH}"
    )[0]
    text = " ".join(page.text)
    assert f"Paid orders {paid / 1000:#.3g} k" in " ".join(text.split())
    assert f"The first 500 of {count:,} orders; {count - 500:,} are left out here." in text
    assert page.tags.count("svg") == 5
    by_day, by_region, *_, orders = page.tables
    assert len(by_day) == 1 + 31
    assert sum(int(row[2].replace(",", "")) for row in by_day[1:]) == paid
    expected = ask(
        "SELECT r.name, sum(total), count(*) FROM orders o JOIN customers c ON c.id = o.customer_id "
        f"JOIN regions r ON r.id = c.region_id WHERE status = 'paid' AND placed_at {IN_MARCH} "
        "GROUP BY 1 ORDER BY 2 DESC"
    )
    assert by_region[1:] == [[name, f"€{total / 100:,.0f}", f"{number:,}"] for name, total, number in expected]
    assert len(orders) == 1 + 500


def test_sales_pdf_has_totals_tables_and_numbered_pages(make: Make, ask: Ask) -> None:
    made = make("sales", "pdf", date_range=MARCH)
    reader = PdfReader(made.path)
    assert reader.metadata is not None
    assert reader.metadata.title == "Sales report, 1 March 2025 – 31 March 2025"
    text = pdf_text(made.path)
    assert f"Page 1 of {len(reader.pages)}" in text
    assert f"Page {len(reader.pages)} of {len(reader.pages)}" in text
    (count,) = ask(f"SELECT count(*) FROM orders WHERE placed_at {IN_MARCH}")
    assert f"The first 100 of {count:,} orders; {count - 100:,} are left out here." in text
    for name, total in ask(
        "SELECT c.name, sum(total) FROM orders o JOIN customers c ON c.id = o.customer_id "
        f"WHERE status = 'paid' AND placed_at {IN_MARCH} GROUP BY c.id ORDER BY 2 DESC LIMIT 10"
    ):
        assert name in text
        assert f"€{total / 100:,.0f}" in text


# -------------------------------------------------------------------------------------------------------- analytics


def steps(ask: Ask) -> list[int]:
    return [
        ask(f"SELECT count(*) FROM sessions WHERE furthest_step >= {step} AND started_at {IN_MARCH}")[0]
        for step in range(5)
    ]


def test_analytics_csv_has_every_session(make: Make, ask: Ask) -> None:
    made = make("analytics", "csv", date_range=MARCH)
    rows = made.rows()
    expected = ask(
        "SELECT s.id, started_at, visitor_id, r.name, channel, device, page_views, seconds FROM sessions s "
        f"JOIN regions r ON r.id = s.region_id WHERE started_at {IN_MARCH} ORDER BY started_at, s.id"
    )
    assert [list(row.values())[:8] for row in rows] == [[str(value) for value in row] for row in expected]
    assert [row["Furthest step"] for row in rows].count("Bought") == steps(ask)[4]


def test_analytics_xlsx_has_the_funnel_and_every_session(make: Make, ask: Ask) -> None:
    made = make("analytics", "xlsx", date_range=MARCH)
    book = openpyxl.load_workbook(made.path)
    cells = {row[0]: row for row in book["Summary"].iter_rows(values_only=True) if row[0]}
    reached = steps(ask)
    named = ["Visited", "Saw a product", "Filled the cart", "Began to check out", "Bought"]
    assert [cells[name][1] for name in named] == reached
    assert cells["Bought"][2] == pytest.approx(reached[4] / reached[3])
    assert cells["Conversion"][1] == pytest.approx(reached[4] / reached[0])
    assert book["Data"].max_row == reached[0] + 1


def test_analytics_html_shows_visitors_by_day_and_sessions_by_channel(make: Make, ask: Ask) -> None:
    page = Page(make("analytics", "html", date_range=MARCH).path)
    by_day, funnel, by_channel, by_device, by_region, sessions = page.tables
    visitors = ask(
        "SELECT date(started_at), count(DISTINCT visitor_id) FROM sessions "
        f"WHERE started_at {IN_MARCH} GROUP BY 1 ORDER BY 1"
    )
    assert [row[2] for row in by_day[1:]] == [f"{count:,}" for _, count in visitors]
    assert [row[0] for row in by_day[1:]] == [f"{day} Mar 2025" for day in range(1, 32)]
    assert [row[1] for row in funnel[1:]] == [f"{count:,}" for count in steps(ask)]
    for table, column in ((by_channel, "channel"), (by_device, "device")):
        expected = ask(
            f"SELECT {column}, count(*) FROM sessions WHERE started_at {IN_MARCH} GROUP BY 1 ORDER BY 2 DESC"
        )
        assert [row[:2] for row in table[1:]] == [[name, f"{count:,}"] for name, count in expected]
    assert len(by_region) == 1 + 5
    assert len(sessions) == 1 + 500


def test_analytics_pdf_shows_the_funnel(make: Make, ask: Ask) -> None:
    text = pdf_text(make("analytics", "pdf", date_range=MARCH).path)
    assert "Analytics report" in text
    for count in steps(ask):
        assert f"{count:,}" in text


# -------------------------------------------------------------------------------------------------- in every format


@pytest.mark.parametrize("to", ["html", "pdf"])
@pytest.mark.parametrize("report_type", ["sales", "analytics"])
def test_what_the_user_may_see_is_said_in_the_header(report_type: str, to: str, make: Make) -> None:
    made = make(report_type, to, date_range=MARCH, user_id="4")
    text = pdf_text(made.path) if to == "pdf" else " ".join(Page(made.path).text)
    assert "Region Central Europe only" in text
    assert "Matthias Gruber (manager)" in text
    assert "Nordics" not in text


def test_the_header_of_a_workbook_says_what_the_user_may_see(make: Make) -> None:
    book = openpyxl.load_workbook(make("sales", "xlsx", date_range=MARCH, user_id="4").path)
    assert [book["Summary"][f"A{row}"].value for row in (1, 3)] == ["Sales report", "Region Central Europe only"]
    assert "Region Central Europe only" in str(book.properties.subject)


def test_html_needs_nothing_from_elsewhere_and_runs_nothing(make: Make) -> None:
    page = Page(make("sales", "html", date_range=MARCH).path)
    assert page.links == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)


@pytest.mark.parametrize("to", ["csv", "xlsx", "html", "pdf"])
@pytest.mark.parametrize("report_type", ["sales", "analytics"])
def test_the_result_describes_the_file(report_type: str, to: str, make: Make, ask: Ask) -> None:
    made = make(report_type, to, date_range=MARCH)
    table, at = ("orders", "placed_at") if report_type == "sales" else ("sessions", "started_at")
    assert made.result == {
        "object": made.result["object"],
        "url": made.path.as_uri(),
        "format": to,
        "bytes": made.path.stat().st_size,
        "rows": ask(f"SELECT count(*) FROM {table} WHERE {at} {IN_MARCH}")[0],
        "report_type": report_type,
        "period": MARCH,
        "scope": "All regions",
    }


@pytest.mark.parametrize("to", ["csv", "xlsx", "html", "pdf"])
@pytest.mark.parametrize("report_type", ["sales", "analytics"])
def test_an_empty_period_makes_a_report_that_says_so(report_type: str, to: str, make: Make) -> None:
    made = make(report_type, to, date_range={"start": "2019-01-01", "end": "2019-12-31"})
    assert made.result["rows"] == 0
    noun = "orders" if report_type == "sales" else "sessions"
    note = f"There are no {noun} in this period. The earliest are of 1 January 2024, the latest of 31 December 2025."
    match to:
        case "csv":
            assert len(made.path.read_text(encoding="utf-8").splitlines()) == 1
        case "xlsx":
            book = openpyxl.load_workbook(made.path)
            assert book["Summary"]["A6"].value == note
            assert book["Data"].max_row == 1
        case "html":
            assert note in Page(made.path).text
        case "pdf":
            assert note in " ".join(pdf_text(made.path).split())
