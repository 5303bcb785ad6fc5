"""The settings of reports: environment variables `JOBYARD_REPORTS_…`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SAMPLE_DATABASE: Final = Path(".jobyard/reports.db")


class ReportsSettings(BaseSettings):
    """What an operator can set. The environment variable of a field is `JOBYARD_REPORTS_` and its name in capitals.

    Attributes:
        database_url: an SQLAlchemy URL, `postgresql://…` or `sqlite:///…`. Secret, since it may carry a password.
            Not set: an SQLite file with sample data, made on first use.
        sample_database: where that file lies.
        currency: ISO 4217 code of all amounts in the database; they are stored in hundredths.
        rows_in_html: a report in HTML lists at most this many rows; its totals always count all of them.
        rows_in_pdf: the same for PDF.
        font: a TrueType file for PDF, when the text needs more than the Latin letters of the built-in font.
        font_bold: its bold face; not set: `font` serves for both.
    """

    model_config = SettingsConfigDict(env_prefix="JOBYARD_REPORTS_", hide_input_in_errors=True, frozen=True)

    database_url: SecretStr | None = None
    sample_database: Path = SAMPLE_DATABASE
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    rows_in_html: Annotated[int, Field(ge=0, le=20_000)] = 500
    rows_in_pdf: Annotated[int, Field(ge=0, le=5_000)] = 100
    font: Path | None = None
    font_bold: Path | None = None
