"""Log lines: complete, safe, and with the job that they belong to."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from jobyard import context
from jobyard.worker import logs
from jobyard.worker.logs import LogFormat


class Job:
    """What `current_job()` shows."""

    id, queue, actor, attempt, cancelled = "job-1", "mail", "send_email", 2, False

    def report_progress(self, percent: float, message: str, counts: dict[str, float]) -> None: ...


@pytest.fixture(autouse=True)
def _keep_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def in_job() -> Iterator[None]:
    token = context.enter(Job())
    yield
    context.leave(token)


def configured(log_format: LogFormat, level: str = "info") -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    logs.configure(log_format, level, stream)
    return logging.getLogger("app.mail"), stream


def as_json(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_names_time_level_logger_and_message() -> None:
    logger, stream = configured("json")
    logger.info("sent %d of %d", 3, 4)
    (line,) = as_json(stream)
    assert (line["level"], line["logger"], line["message"]) == ("info", "app.mail", "sent 3 of 4")
    assert line["time"].endswith("Z")
    assert "job_id" not in line


@pytest.mark.usefixtures("in_job")
def test_inside_a_job_every_line_names_it() -> None:
    logger, stream = configured("json")
    logger.info("sent")
    (line,) = as_json(stream)
    named = {"job_id": "job-1", "actor": "send_email", "queue": "mail", "attempt": 2}
    assert {name: line[name] for name in named} == named
    logger, stream = configured("text")
    logger.info("sent")
    assert stream.getvalue().endswith("sent (job job-1, actor send_email, queue mail, attempt 2)\n")


def test_extra_fields_and_tracebacks_are_kept() -> None:
    logger, stream = configured("json")
    try:
        raise ValueError("no such mailbox")
    except ValueError:
        logger.exception("failed", extra={"mailbox": "ada", "size": 3, "thing": {1, 2}, "strange": object})
    (line,) = as_json(stream)
    assert (line["mailbox"], line["size"]) == ("ada", 3)
    assert line["exception"].endswith("ValueError: no such mailbox")
    assert line["exception"].startswith("Traceback")


def test_what_cant_be_written_as_json_does_not_lose_the_line() -> None:
    logger, stream = configured("json")
    loop: list[Any] = []
    loop.append(loop)
    logger.info("odd", extra={"loop": loop, "keys": {(1, 2): 3}, "bad": "\ud800"})
    (line,) = as_json(stream)
    assert line["message"] == "odd"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_passwords_in_urls_are_never_written(log_format: LogFormat) -> None:
    logger, stream = configured(log_format)
    url = "rediss://worker:s3cr3t@redis.example:6379/0"
    try:
        raise ConnectionError(f"no way to {url}")
    except ConnectionError:
        logger.exception("can't reach %s and redis://:s3cr3t@other", url, extra={"url": url, "urls": [url]})
    text = stream.getvalue()
    assert "s3cr3t" not in text
    assert "rediss://worker:***@redis.example:6379/0" in text


@pytest.mark.usefixtures("in_job")
def test_a_job_cant_make_up_lines_or_command_the_terminal() -> None:
    logger, stream = configured("text")
    logger.info("hello\n2026-01-01T00:00:00Z CRITICAL forged\x1b[2J\rand\x00more")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("hello (job job-1, actor send_email, queue mail, attempt 2)") or "hello" in first
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()
    assert "\\x1b[2J\\rand\\x00more" in stream.getvalue()


def test_what_is_less_important_than_the_level_is_not_written() -> None:
    logger, stream = configured("json", "warning")
    logger.info("no")
    logger.warning("yes")
    assert [line["message"] for line in as_json(stream)] == ["yes"]


def test_warnings_of_python_are_logged() -> None:
    _, stream = configured("json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    (line,) = as_json(stream)
    assert line["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in line["message"]
