"""Data that no sample has: many names, unknown values, totals below zero, hostile texts, five years."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pypdf import PdfReader

from .conftest import Make

MARCH = {"start": "2025-03-01", "end": "2025-03-31"}
FIVE_YEARS = {"start": "2021-01-01", "end": "2025-12-31"}
FORMATS = ["csv", "xlsx", "html", "pdf"]
Own = Callable[..., Path]


def order(number: int, customer: int = 1, total: int = 1000, product: int = 1) -> tuple[Any, ...]:
    return (
        number,
        f"2025-03-05 10:{number // 60:02d}:{number % 60:02d}",
        customer,
        product,
        "web",
        1,
        1000,
        total,
        "paid",
    )


def pdf_text(path: Path) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(path).pages)


@pytest.mark.parametrize("to", ["html", "pdf"])
def test_of_very_many_names_the_first_are_drawn_and_the_others_summed_up(
    to: str, own_database: Own, make: Make
) -> None:
    own_database(
        products=[(number, f"Product {number}", f"Category {number}") for number in range(1, 301)],
        orders=[order(number, total=100 * number, product=number) for number in range(1, 301)],
    )
    path = make("sales", to, date_range=MARCH).path
    text = pdf_text(path) if to == "pdf" else path.read_text(encoding="utf-8")
    others = sum(range(1, 301 - 12))
    assert "All others" in text
    assert f"€{others:,}" in text


def test_names_and_others_add_up_to_the_total(own_database: Own, make: Make) -> None:
    own_database(
        sessions=[
            (number, "2025-03-05 10:00:00", number, 1, f"channel {number % 40}", "phone", 1, 5, 4 if number % 3 else 0)
            for number in range(500)
        ]
    )
    summary: Any = openpyxl.load_workbook(make("analytics", "xlsx", date_range=MARCH).path)["Summary"]
    rows = list(summary.iter_rows(values_only=True))
    start = next(number for number, row in enumerate(rows) if row[0] == "Channel")
    named = rows[start + 1 : start + 14]
    assert named[-1][0] == "All others"
    assert sum(row[1] for row in named) == 500
    assert sum(row[2] for row in named) == sum(1 for number in range(500) if number % 3)


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("report_type", ["sales", "analytics"])
def test_values_that_a_view_does_not_know_stay_empty(report_type: str, to: str, own_database: Own, make: Make) -> None:
    path = own_database(orders=[order(1)], sessions=[(1, "2025-03-05 10:00:00", 7, 1, "search", "phone", 3, 60, 2)])
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "ALTER TABLE orders RENAME TO o; ALTER TABLE sessions RENAME TO s;"
            "CREATE VIEW orders AS SELECT id, placed_at, customer_id, product_id, NULL AS channel, quantity, "
            "NULL AS unit_price, total, status FROM o;"
            "CREATE VIEW sessions AS SELECT id, started_at, visitor_id, region_id, NULL AS channel, device, page_views, "
            "NULL AS seconds, furthest_step FROM s;"
        )
    made = make(report_type, to, date_range=MARCH)
    assert made.result["rows"] == 1
    if to == "csv":
        (row,) = made.rows()
        assert row["Channel"] == ""
    if to == "html" and report_type == "analytics":
        assert "(not known)" in made.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("to", FORMATS)
def test_totals_below_zero_make_a_report_all_the_same(to: str, own_database: Own, make: Make) -> None:
    own_database(orders=[order(1, total=-12345), order(2, total=-5)])
    made = make("sales", to, date_range=MARCH)
    if to == "html":
        assert "−€124" in made.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("to", FORMATS)
def test_markup_and_control_characters_from_the_database_do_no_harm(to: str, own_database: Own, make: Make) -> None:
    nasty = "<script>alert(1)</script> & <b>bold \x01\x0b {{ 7 * 7 }} %s"
    own_database(
        regions=[(1, nasty), (2, "South")],
        users=[("1", nasty, "manager", 1, 1)],
        customers=[(1, nasty, 1)],
        products=[(1, nasty, nasty)],
        orders=[order(1)],
    )
    path = make("sales", to, date_range=MARCH).path
    match to:
        case "xlsx":
            assert openpyxl.load_workbook(path)["Data"].max_row == 2
        case "html":
            text = path.read_text(encoding="utf-8")
            assert "<script" not in text
            assert "&lt;script&gt;" in text
            assert "{{ 7 * 7 }}" in text
        case "pdf":
            text = pdf_text(path)
            assert "<script>alert(1)</script> & <b>bold" in text


@pytest.mark.parametrize("to", ["html", "pdf"])
@pytest.mark.parametrize("report_type", ["sales", "analytics"])
def test_the_longest_period_has_a_point_for_each_month(report_type: str, to: str, make: Make) -> None:
    path = make(report_type, to, date_range=FIVE_YEARS).path
    if to == "html":
        text = path.read_text(encoding="utf-8")
        assert text.count('<td class="time">1 Jan 20') == 5
        assert " by month</figcaption>" in text
    else:
        assert "Dec 2025" in PdfReader(path).pages[1].extract_text()


@pytest.mark.parametrize("to", FORMATS)
def test_a_single_day_with_a_single_row_makes_a_report(to: str, own_database: Own, make: Make) -> None:
    own_database(orders=[order(1)])
    assert make("sales", to, date_range={"start": "2025-03-05", "end": "2025-03-05"}).result["rows"] == 1
