"""Making a report: check who asks, add up, and stream it into storage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, Any, Final, assert_never
from uuid import NAMESPACE_URL, uuid4, uuid5

import jobyard
from jobyard.errors import Cancelled
from jobyard.jobs.reports.access import requester
from jobyard.jobs.reports.analytics import analytics_report
from jobyard.jobs.reports.database import snapshot
from jobyard.jobs.reports.fonts import typeface
from jobyard.jobs.reports.formats.csv import write_csv
from jobyard.jobs.reports.formats.html import write_html
from jobyard.jobs.reports.formats.pdf import write_pdf
from jobyard.jobs.reports.formats.xlsx import write_xlsx
from jobyard.jobs.reports.payload import GenerateReport, ReportFormat, ReportType
from jobyard.jobs.reports.period import Period
from jobyard.jobs.reports.query import ROWS_AT_A_TIME
from jobyard.jobs.reports.report import Report
from jobyard.jobs.reports.sales import sales_report
from jobyard.jobs.reports.settings import ReportsSettings
from jobyard.jobs.storage import get_storage

_MAKERS: Final = {ReportType.SALES: sales_report, ReportType.ANALYTICS: analytics_report}


def make_report(wanted: GenerateReport) -> dict[str, Any]:
    """Make a report and put it into storage; what comes back is the job's result.

    Raises:
        PermanentError: the user may not see the data, or a setting can't work.
        Cancelled: somebody cancelled the job; there is no object then.
    """
    settings = ReportsSettings()
    jobyard.report_progress(0, "Opening the database")
    with snapshot(settings) as connection:
        period = Period(wanted.date_range.start, wanted.date_range.end)
        who = requester(connection, wanted.user_id)
        _stop_if_cancelled()
        jobyard.report_progress(3, "Adding up")
        make = _MAKERS[wanted.report_type]
        report = make(connection, period, who, datetime.now(UTC).replace(tzinfo=None), settings.currency)
        report = replace(report, rows=_watched(report))
        name = f"reports/{_object_id()}.{wanted.format}"
        storage = get_storage()
        with storage.open_write(name) as file:
            _write(report, wanted.format, file, settings)
            size = file.tell()
            # Cancelled while the file was packed: leaving with an exception leaves no object behind.
            _stop_if_cancelled()
    jobyard.report_progress(100, "Done", rows=report.row_count)
    return {
        "object": name,
        "url": storage.url_of(name),
        "format": str(wanted.format),
        "bytes": size,
        "rows": report.row_count,
        "report_type": str(wanted.report_type),
        "period": {"start": period.start.isoformat(), "end": period.end.isoformat()},
        "scope": who.scope,
    }


def _write(report: Report, to: ReportFormat, file: IO[bytes], settings: ReportsSettings) -> None:
    match to:
        case ReportFormat.CSV:
            write_csv(report, file)
        case ReportFormat.XLSX:
            write_xlsx(report, file)
        case ReportFormat.HTML:
            write_html(report, file, most_rows=settings.rows_in_html)
        case ReportFormat.PDF:
            face = typeface(settings.font, settings.font_bold)
            write_pdf(report, file, most_rows=settings.rows_in_pdf, typeface=face)
        case _:
            assert_never(to)


def _watched(report: Report) -> Any:
    """The report's rows, telling how far they are and stopping when the job is cancelled."""

    def rows(limit: int | None) -> Iterator[Sequence[Any]]:
        expected = report.row_count if limit is None else min(limit, report.row_count)
        for number, row in enumerate(report.rows(limit)):
            if number % ROWS_AT_A_TIME == 0:
                _stop_if_cancelled()
                jobyard.report_progress(
                    5 + 90 * number / max(1, expected), f"{number:,} of {expected:,} {report.noun}", rows=number
                )
            yield row
        jobyard.report_progress(95, "Finishing the file", rows=expected)

    return rows


def _stop_if_cancelled() -> None:
    job = jobyard.current_job()
    if job is not None and job.cancelled:
        raise Cancelled("the report was cancelled")


def _object_id() -> str:
    """The job's id, so that another attempt replaces what an earlier one wrote."""
    job = jobyard.current_job()
    if job is None:
        return str(uuid4())
    # Ids are chosen by whoever enqueues; one that is no plain name must not become a path.
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", job.id, re.ASCII)
    return job.id if plain else str(uuid5(NAMESPACE_URL, job.id))
