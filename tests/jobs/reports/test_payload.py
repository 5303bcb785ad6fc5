"""A payload that can't become a report is refused at enqueue, with the path of the field."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from jobyard import PayloadError
from jobyard.jobs.reports import GenerateReport, generate_report

GOOD: dict[str, Any] = {
    "report_type": "sales",
    "date_range": {"start": "2025-01-01", "end": "2025-03-31"},
    "user_id": "1",
    "format": "pdf",
}


def test_a_good_payload_goes_into_the_message_as_plain_json() -> None:
    assert generate_report.message(**GOOD).kwargs == GOOD


def test_the_job_is_tried_three_times_two_and_four_seconds_apart() -> None:
    policy = generate_report.options["retry"]
    assert [policy.wait(attempt) for attempt in (1, 2, 3)] == [2, 4, None]
    assert generate_report.queue_name == "reports"


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        ({"report_type": "weather"}, "report_type", "'sales' or 'analytics'"),
        ({"format": "docx"}, "format", "'csv', 'xlsx', 'html' or 'pdf'"),
        ({"user_id": ""}, "user_id", "at least 1"),
        ({"user_id": "a\nb"}, "user_id", "match pattern"),
        ({"user_id": None}, "user_id", "string"),
        ({"user_id": True}, "user_id", "string"),
        ({"colour": "red"}, "colour", "not permitted"),
        ({"priority": 101}, "priority", "less than or equal to 100"),
        ({"priority": -1}, "priority", "greater than or equal to 0"),
        ({"priority": "soon"}, "priority", "critical, high, normal, low"),
        ({"priority": True}, "priority", "not a truth value"),
        ({"date_range": {"start": "2025-01-01"}}, "date_range.end", "required"),
        ({"date_range": {"start": "2025-02-30", "end": "2025-03-01"}}, "date_range.start", "date"),
        ({"date_range": {"start": 1735689600, "end": "2025-03-01"}}, "date_range.start", "YYYY-MM-DD"),
        ({"date_range": {"start": "20250101", "end": "2025-03-01"}}, "date_range.start", "YYYY-MM-DD"),
        (
            {"date_range": {"start": "2025-03-02", "end": "2025-03-01"}},
            "date_range.end",
            "before the start (2025-03-02)",
        ),
        ({"date_range": {"start": "2015-01-01", "end": "2025-01-01"}}, "date_range.end", "at most 1830"),
        ({"date_range": {"start": "0001-01-01", "end": "0001-01-02"}}, "date_range.start", "1970-01-01"),
        ({"date_range": {"start": "9999-12-30", "end": "9999-12-31"}}, "date_range.start", "2199-12-31"),
        (
            {"date_range": {"start": "2025-01-01", "end": "2025-01-02", "zone": "CET"}},
            "date_range.zone",
            "not permitted",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path(change: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(PayloadError) as refused:
        generate_report.message(**{**GOOD, **change})
    assert path in [field.path for field in refused.value.fields]
    assert says in str(refused.value)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(PayloadError) as refused:
        generate_report.message(report_type="weather", format="docx", date_range=GOOD["date_range"], user_id="1")
    assert {field.path for field in refused.value.fields} == {"report_type", "format"}


def test_enqueueing_needs_none_of_what_makes_reports() -> None:
    program = (
        "import sys; from jobyard.jobs.reports import generate_report; "
        "print([name for name in ('sqlalchemy', 'reportlab', 'xlsxwriter', 'jinja2') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"


def test_one_day_and_five_years_are_accepted() -> None:
    generate_report.message(**{**GOOD, "date_range": {"start": "2025-01-01", "end": "2025-01-01"}})
    generate_report.message(**{**GOOD, "date_range": {"start": "2020-01-01", "end": "2024-12-31"}})


@pytest.mark.parametrize(
    ("given", "number"), [("critical", 1), ("HIGH", 2), ("normal", 5), ("low", 10), (0, 0), (100, 100)]
)
def test_a_priority_is_a_number_or_a_name(given: Any, number: int) -> None:
    assert GenerateReport(**GOOD, priority=given).priority == number


def test_a_numeric_user_id_is_taken_as_text() -> None:
    assert generate_report.message(**{**GOOD, "user_id": 7}).kwargs["user_id"] == "7"
