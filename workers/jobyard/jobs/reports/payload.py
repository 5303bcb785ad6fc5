"""What a caller sends to `generate_report`, and what is refused before it is queued."""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from jobyard.priority import PriorityField

LONGEST_DAYS: Final = 5 * 366
EARLIEST: Final = date(1970, 1, 1)
LATEST: Final = date(2199, 12, 31)


class ReportType(StrEnum):
    """What the report is about."""

    SALES = "sales"
    ANALYTICS = "analytics"


class ReportFormat(StrEnum):
    """The file that comes out; also its suffix."""

    CSV = "csv"
    XLSX = "xlsx"
    HTML = "html"
    PDF = "pdf"


def _calendar_date(value: Any) -> Any:
    # pydantic would take numbers as seconds since 1970, which for a date is more likely a mistake than a wish.
    if type(value) is date:
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return value
    raise ValueError("must be a date as YYYY-MM-DD")


def _near_enough(day: date) -> date:
    if not EARLIEST <= day <= LATEST:
        raise ValueError(f"must be from {EARLIEST.isoformat()} to {LATEST.isoformat()}")
    return day


CalendarDate = Annotated[date, BeforeValidator(_calendar_date), AfterValidator(_near_enough)]


class DateRange(BaseModel):
    """The days that the report covers, both ends included, in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: CalendarDate
    end: CalendarDate

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: date, info: ValidationInfo) -> date:
        start = info.data.get("start")
        if start is None:  # The start itself was refused; that is error enough.
            return end
        if end < start:
            raise ValueError(f"is before the start ({start.isoformat()})")
        if (days := (end - start).days + 1) > LONGEST_DAYS:
            raise ValueError(f"the range has {days} days; a report covers at most {LONGEST_DAYS}")
        return end


class GenerateReport(BaseModel):
    """The payload of `generate_report`.

    Attributes:
        report_type: `sales` or `analytics`.
        date_range: the days covered, `{start, end}`, both included; at most five years.
        user_id: the id of the user who asks; what this user may see decides what the report shows. A number will do.
        format: `csv`, `xlsx`, `html` or `pdf`.
        priority: 0 (first) to 100, or `critical`, `high`, `normal`, `low`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    report_type: ReportType
    date_range: DateRange
    user_id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
    format: ReportFormat
    priority: PriorityField = None
