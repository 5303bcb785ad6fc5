"""The built-in job type `generate_report`: sales and analytics reports from an SQL database, as csv, xlsx, html or pdf.

    generate_report.send(
        report_type="sales", date_range={"start": "2025-01-01", "end": "2025-12-31"}, user_id="1", format="pdf"
    )

The way through the package: `job` declares it and `making` does it; `payload`, `settings` and `access` say what, from
where and for whom; `sales` and `analytics` ask the database (`tables`, `query`) and make a `report`; `formats` writes
that, with `charts`.
"""

from jobyard.jobs.reports.job import generate_report
from jobyard.jobs.reports.payload import DateRange, GenerateReport, ReportFormat, ReportType

__all__ = ["DateRange", "GenerateReport", "ReportFormat", "ReportType", "generate_report"]
