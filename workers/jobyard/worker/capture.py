"""Records that `logging` makes inside a running job, on their way to the job's own lines (`broker.job_logs`).

JOBYARD_JOB_LOGS says from which level on, or `off`. What the loggers themselves hold back (`jobyard worker --log-level`) can't be
seen here either. What Jobyard and Dramatiq say about the job is not what the job says: it is left out.
"""

from __future__ import annotations

import logging
import threading
from typing import Final, Literal

from pydantic_settings import BaseSettings, SettingsConfigDict

from jobyard.broker.delivery import Delivery
from jobyard.context import current_job
from jobyard.worker.logs import without_passwords

#: Loggers that speak about jobs, not for them.
_ABOUT: Final = ("jobyard.worker.", "jobyard.broker.", "jobyard.middleware.", "dramatiq.")

_formatter: Final = logging.Formatter()


class JobLogSettings(BaseSettings):
    """JOBYARD_JOB_LOGS: records from this level on are kept with the job; `off`: nothing is kept."""

    model_config = SettingsConfigDict(env_prefix="JOBYARD_", extra="ignore", frozen=True)

    job_logs: Literal["off", "debug", "info", "warning", "error", "critical"] = "info"


class Capture(logging.Handler):
    """On the root logger: gives each record to the job that it was made in."""

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the handler's lock: an interrupt of the job must not leave it taken.
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        job = current_job()
        if not isinstance(job, Delivery) or f"{record.name}.".startswith(_ABOUT):
            return
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[0] is not None:
                text += "\n" + _formatter.formatException(record.exc_info)
            job.log(record.levelname.lower(), record.name, without_passwords(text), int(record.created * 1000))
        except Exception:  # noqa: BLE001 - as every handler: whatever is wrong with a record, it must not fail the job
            self.handleError(record)


_lock: Final = threading.Lock()
_capture: Capture | None = None
_users = 0


def begin(level: str) -> None:
    """From now on records of this level and above are given to their jobs. Each `begin` needs an `end`."""
    global _capture, _users
    with _lock:
        _users += 1
        if _capture is None:
            _capture = Capture()
            logging.getLogger().addHandler(_capture)
        _capture.setLevel(level.upper())


def end() -> None:
    """Undo one `begin`."""
    global _capture, _users
    with _lock:
        _users -= 1
        if _users == 0 and _capture is not None:
            logging.getLogger().removeHandler(_capture)
            _capture = None
