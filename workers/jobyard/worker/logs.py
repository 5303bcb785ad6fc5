"""Logs of a worker: one line a record, as text or as JSON; what is logged inside a job names the job.

Passwords in URLs never get through, whoever logs them.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import msgspec

from jobyard.context import current_job

LogFormat = Literal["text", "json"]
LEVELS: Final = ("debug", "info", "warning", "error", "critical")

#: What every record has; whatever else stands on it was given as `extra`.
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_JOB_FIELDS: Final = ("job_id", "actor", "queue", "attempt")

_password: Final = re.compile(r"(?<=://)([^\s/?#@:]*):([^\s/@]+)@")
_control: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def configure(log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Log everything from `level` on to `stream` (None: standard error), and warnings of Python as well."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(add_job)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)


def default_format(stream: TextIO) -> LogFormat:
    """Text for people at a terminal, JSON for whoever collects logs."""
    return "text" if stream.isatty() else "json"


def add_job(record: logging.LogRecord) -> bool:
    """A logging filter that lets everything pass, and notes on each record inside which job it was made."""
    job = current_job()
    if job is not None and not hasattr(record, "job_id"):
        record.job_id, record.actor, record.queue, record.attempt = job.id, job.actor, job.queue, job.attempt
    return True


def without_passwords(text: str) -> str:
    """The text with `***` in place of the password of every URL in it."""
    return _password.sub(r"\1:***@", text) if "://" in text else text


class TextFormatter(logging.Formatter):
    """`TIME LEVEL LOGGER[PROCESS] MESSAGE (job …, actor …, queue …, attempt …)`; further lines are indented."""

    def format(self, record: logging.LogRecord) -> str:
        lines = [record.getMessage()]
        job_id = getattr(record, "job_id", None)
        if job_id is not None:
            fields = ", ".join(f"{name} {getattr(record, name, '?')}" for name in _JOB_FIELDS[1:])
            lines[0] += f" (job {job_id}, {fields})"
        lines += _traceback(self, record)
        # Nobody can make up lines of a log, or command a terminal, with what a job logs.
        text = _control.sub(_escape, "\n".join(lines)).replace("\n", "\n    ")
        head = f"{_time(record)} {record.levelname:<8} {record.name}[{record.process}]"
        return without_passwords(f"{head} {text}")


class JsonFormatter(logging.Formatter):
    """One JSON object: time, level, logger, message, process, thread; job_id, actor, queue and attempt inside a job; the
    traceback as `exception`; and whatever was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        known = record.__dict__
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            "thread": record.threadName,
        }
        for name in _JOB_FIELDS:
            if name in known:
                fields[name] = known[name]
        for name, value in known.items():
            if name not in _STANDARD and name not in fields:
                fields[name] = value
        lines = _traceback(self, record)
        if lines:
            fields["exception"] = "\n".join(lines)
        return without_passwords(_encode(fields).decode())


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    lines = []
    if record.exc_info and record.exc_info[0] is not None:
        lines.append(formatter.formatException(record.exc_info))
    elif record.exc_text:
        lines.append(record.exc_text)
    if record.stack_info:
        lines.append(formatter.formatStack(record.stack_info))
    return lines


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _encode(fields: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(fields, enc_hook=str)
    except (TypeError, ValueError, RecursionError):
        # Keys that are no texts, say, or half a character. A record must not get lost because of what somebody hangs onto it.
        return msgspec.json.encode({name: _plain(value) for name, value in fields.items()})


def _plain(value: Any) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()
