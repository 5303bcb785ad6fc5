"""Which statuses are worth another attempt."""

from __future__ import annotations

import pytest

from jobyard.errors import PermanentError, RetryAfter
from jobyard.jobs.download import DownloadError, DownloadRefused
from jobyard.jobs.download.answers import check_status

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def check(status: int, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    check_status(status, named, "http://example.org/a", longest_wait=600, now=lambda: NOW)


def test_an_answer_with_the_body_passes() -> None:
    check(200)
    check(203)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 408, 425, 429])
def test_passing_faults_are_worth_a_retry(status: int) -> None:
    with pytest.raises(DownloadError, match=f"http://example.org/a answered {status}"):
        check(status)


@pytest.mark.parametrize("status", [201, 204, 206, 300, 302, 304, 400, 401, 403, 404, 410, 451])
def test_other_statuses_are_final(status: int) -> None:
    with pytest.raises(DownloadRefused, match=f"answered {status}") as refusal:
        check(status)
    assert isinstance(refusal.value, PermanentError)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 1),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 1),
        ("86400", 600),
        ("9" * 500, 600),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_says_when_to_come_back_within_bounds(status: int, header: str, seconds: float) -> None:
    with pytest.raises(RetryAfter) as busy:
        check(status, Retry_After=header)
    assert busy.value.seconds == seconds


@pytest.mark.parametrize("header", ["soon", "", "-5", "Tue, 99 Nov 2023 22:14:20 GMT"])
def test_a_retry_after_that_says_nothing_is_an_ordinary_fault(header: str) -> None:
    with pytest.raises(DownloadError):
        check(503, Retry_After=header)


def test_other_faults_do_not_heed_retry_after() -> None:
    with pytest.raises(DownloadError):
        check(500, Retry_After="10")
