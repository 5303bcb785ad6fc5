"""Who may have a report, and that nobody gets rows that they may not see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from jobyard import PermanentError
from jobyard.jobs.reports import sample_data

from .conftest import Make

MARCH = {"start": "2025-03-01", "end": "2025-03-31"}


@pytest.mark.parametrize(
    ("user_id", "says"),
    [
        ("nobody", "no user with the id 'nobody'"),
        ("' OR 1=1 --", "no user with the id"),
        ("9", "user '9' is not active"),
        ("8", "has the role 'support'; reports are for: admin, analyst, manager"),
    ],
)
def test_who_may_not_see_the_data_gets_no_report_and_no_retry(
    user_id: str, says: str, make: Make, storage_folder: Path
) -> None:
    with pytest.raises(PermanentError, match="no report: ") as refused:
        make("sales", "csv", user_id=user_id)
    assert says in str(refused.value)
    assert not storage_folder.exists()


def test_a_manager_without_a_region_is_refused(own_database: Callable[..., Path], make: Make) -> None:
    own_database()
    with pytest.raises(PermanentError, match="manager without a region"):
        make("sales", "csv", user_id="5")


@pytest.mark.parametrize("user_id", ["1", "2"])
def test_admins_and_analysts_see_all_regions(user_id: str, make: Make) -> None:
    made = make("sales", "csv", user_id=user_id, date_range=MARCH)
    assert made.result["scope"] == "All regions"
    assert {row["Region"] for row in made.rows()} == set(sample_data.REGIONS)


@pytest.mark.parametrize("report_type", ["sales", "analytics"])
def test_managers_see_the_rows_of_their_own_region_only(report_type: str, make: Make) -> None:
    made = make(report_type, "csv", user_id="3", date_range=MARCH)
    regions = [row["Region"] for row in made.rows()]
    assert set(regions) == {"Nordics"}
    assert made.result["rows"] == len(regions)
    assert made.result["scope"] == "Region Nordics only"


def test_the_totals_of_a_manager_are_those_of_the_region(make: Make, ask: Callable[..., list[Any]]) -> None:
    summary: Any = openpyxl.load_workbook(make("sales", "xlsx", user_id="3", date_range=MARCH).path)["Summary"]
    cells = {row[0]: row[1:3] for row in summary.iter_rows(values_only=True) if row[0]}
    query = (
        "SELECT sum(total) / 100.0 FROM orders o JOIN customers c ON c.id = o.customer_id "
        "WHERE region_id = 1 AND status = 'paid' AND placed_at BETWEEN ? AND ?"
    )
    assert cells["Revenue (EUR)"] == pytest.approx(
        (
            ask(query, "2025-03-01 00:00:00", "2025-03-31 23:59:59")[0],
            ask(query, "2025-02-01 00:00:00", "2025-02-28 23:59:59")[0],
        )
    )
    titles = [chart.title.tx.rich.p[0].r[0].t for chart in summary._charts]
    assert "Revenue by region" not in titles


def test_the_empty_report_of_a_manager_tells_nothing_of_other_regions(
    own_database: Callable[..., Path], make: Make
) -> None:
    order = (1, "2025-03-05 10:00:00", 2, 1, "web", 1, 100, 100, "paid")  # of the region South
    own_database(orders=[order])
    made = make("sales", "html", user_id="2", date_range={"start": "2024-01-01", "end": "2024-12-31"})
    assert "There are no orders in this period.<" in made.path.read_text(encoding="utf-8")
