"""The job around the report: progress, cancelling, names, a retry, memory."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from pypdf import PdfReader
from reportlab import __file__ as reportlab_file

from jobyard import Cancelled, PermanentError
from jobyard.jobs.reports import making
from jobyard.jobs.reports.fonts import typeface
from jobyard.jobs.reports.formats.xlsx import write_xlsx

from .conftest import Job, Make

MARCH = {"start": "2025-03-01", "end": "2025-03-31"}
Inside = Callable[[Job], AbstractContextManager[Job]]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_object_is_named_after_the_job_and_another_attempt_replaces_it(
    make: Make, inside_job: Inside, storage_folder: Path
) -> None:
    with inside_job(Job(id="5f0e-77")):
        first = make("sales", "csv", date_range=MARCH)
        again = make("sales", "csv", date_range=MARCH)
    assert first.result == again.result
    assert files(storage_folder) == ["reports/5f0e-77.csv"]


@pytest.mark.parametrize("chosen", ["../../etc/passwd", "a/b", ".hidden", "x" * 300, "", "a b"])
def test_an_id_that_is_no_plain_name_does_not_become_a_path(
    chosen: str, make: Make, inside_job: Inside, storage_folder: Path
) -> None:
    with inside_job(Job(id=chosen)):
        names = {make("sales", "csv", date_range=MARCH).result["object"] for _ in range(2)}
    assert files(storage_folder) == list(names)
    assert next(iter(names)).startswith("reports/")


def test_progress_rises_to_the_end_and_counts_rows(make: Make, inside_job: Inside) -> None:
    with inside_job(Job()) as job:
        rows = make("analytics", "csv", date_range=MARCH).result["rows"]
    percents = [percent for percent, _, _ in job.progress]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)
    assert [counts["rows"] for _, _, counts in job.progress if counts] == [*range(0, rows, 1000), rows, rows]
    assert f"1,000 of {rows:,} sessions" in [message for _, message, _ in job.progress]


@pytest.mark.parametrize("to", ["csv", "xlsx", "html", "pdf"])
def test_a_job_cancelled_half_way_leaves_no_object_and_no_scratch(
    to: str, make: Make, inside_job: Inside, storage_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    halfway = Job(on_progress=lambda job: setattr(job, "cancelled", job.progress[-1][0] >= 5))
    with inside_job(halfway), pytest.raises(Cancelled):
        make("analytics", to, date_range=MARCH)
    assert 5 <= max(percent for percent, _, _ in halfway.progress) < 100
    assert files(storage_folder) == []
    assert files(scratch) == []


def test_a_job_cancelled_before_it_reads_does_not_even_start_a_file(
    make: Make, inside_job: Inside, storage_folder: Path
) -> None:
    with inside_job(Job(cancelled=True)), pytest.raises(Cancelled):
        make("sales", "csv", date_range=MARCH)
    assert not storage_folder.exists()


def test_a_failure_half_way_leaves_no_object(make: Make, storage_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(report: Any, file: Any) -> None:
        file.write(b"half a report")
        raise OSError("no space left")

    monkeypatch.setattr(making, "write_csv", breaks)
    with pytest.raises(OSError, match="no space left"):
        make("sales", "csv", date_range=MARCH)
    assert files(storage_folder) == []


@pytest.mark.parametrize("to", ["csv", "xlsx"])
def test_memory_does_not_grow_with_the_number_of_rows(to: str, make: Make) -> None:
    make("sales", to, date_range=MARCH)  # whatever is loaded or cached on first use
    tracemalloc.start()
    try:
        made = make("sales", to, date_range={"start": "2025-01-01", "end": "2025-06-30"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # These rows as Python objects would take more than 10 MB.
    assert made.result["rows"] > 12_000
    assert peak < 4_000_000


def test_more_rows_than_a_sheet_holds_go_on_on_the_next_sheet(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "write_xlsx", lambda report, file: write_xlsx(report, file, last_row=1500))
    made = make("sales", "xlsx", date_range=MARCH)
    book = openpyxl.load_workbook(made.path)
    rows = made.result["rows"]
    assert 1500 < rows <= 3000
    assert book.sheetnames == ["Summary", "Data", "Data 2"]
    assert [book[name].max_row for name in ("Data", "Data 2")] == [1501, rows - 1500 + 1]
    assert book["Data 2"]["A1"].value == "Order"


@pytest.mark.parametrize(
    ("to", "setting"), [("html", "JOBYARD_REPORTS_ROWS_IN_HTML"), ("pdf", "JOBYARD_REPORTS_ROWS_IN_PDF")]
)
def test_how_many_rows_are_listed_is_a_setting_and_may_be_none(
    to: str, setting: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    for rows in ("0", "7", "20"):
        monkeypatch.setenv(setting, rows)
        sizes.append(make("sales", to, date_range=MARCH).result["bytes"])
    assert sizes == sorted(set(sizes))


def test_a_pdf_says_when_its_font_lacks_a_character_and_shows_what_it_can(
    own_database: Callable[..., Path], make: Make
) -> None:
    own_database(
        customers=[(1, "Dvořák & <b>日本</b>", 1)],
        orders=[(1, "2025-03-05 10:00:00", 1, 1, "web", 2, 100, 200, "paid")],
    )
    text = "\n".join(page.extract_text() for page in PdfReader(make("sales", "pdf").path).pages)
    assert "Dvorák & <b>??</b>" in text
    assert "Characters that the font of this document lacks are replaced" in text


def test_a_pdf_with_usual_latin_text_has_no_such_note(make: Make) -> None:
    text = PdfReader(make("sales", "pdf", date_range=MARCH).path).pages[0].extract_text()
    assert "font of this document" not in text


def test_a_font_of_ones_own_can_be_set(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_REPORTS_FONT", str(Path(reportlab_file).parent / "fonts" / "VeraIt.ttf"))
    reader = PdfReader(make("sales", "pdf", date_range=MARCH).path)
    fonts = reader.pages[0]["/Resources"]["/Font"]  # type: ignore[index] # pypdf's types stop at PdfObject
    names = {str(font.get_object()["/BaseFont"]) for font in fonts.values()}
    assert any("Oblique" in name for name in names)


def test_a_font_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"JOBYARD_REPORTS_FONT: .*no\.ttf"):
        typeface(tmp_path / "no.ttf", None)
