"""The job `generate_report`, as applications and workers see it.

Light to import: an application that only enqueues needs neither SQLAlchemy nor ReportLab.
"""

from __future__ import annotations

from typing import Any, Final

import jobyard
from jobyard.jobs.reports.payload import GenerateReport

TIME_LIMIT: Final = 30 * 60 * 1000
"""Milliseconds. Ten million rows take two minutes as csv and seven as xlsx."""


@jobyard.actor(
    queue_name="reports",
    payload=GenerateReport,
    retry=jobyard.RetryPolicy(attempts=3, initial=2, factor=2),
    time_limit=TIME_LIMIT,
)
def generate_report(wanted: GenerateReport) -> dict[str, Any]:
    """Make a report and put it into storage.

    Returns:
        `object` (its name in storage), `url`, `format`, `bytes`, `rows` (how many the report covers; html and pdf may
        list fewer), `report_type`, `period` ({start, end}) and `scope` (what the user may see, in words).

    Raises:
        PermanentError: the user may not see the data, or a setting can't work.
    """
    from jobyard.jobs.reports.making import make_report

    return make_report(wanted)
