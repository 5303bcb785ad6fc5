"""What an HTTP status means for a download: go on, follow, try again, come back later, or give up. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from jobyard.errors import RetryAfter
from jobyard.jobs.download.errors import DownloadError, DownloadRefused

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WITH_BODY = frozenset({200, 203})
_PASSING = frozenset({408, 425, 429})


def check_status(
    status: int,
    headers: Mapping[str, str],
    where: str,
    longest_wait: float,
    now: Callable[[], float] = time.time,
) -> None:
    """Return if the answer carries the body that was asked for.

    Args:
        where: the URL, for messages.
        longest_wait: a server that names a later time is asked again after so many seconds.

    Raises:
        RetryAfter: the server is busy (429, 503) and says when to come back. At least 1 s, so that a server that says
            "0" is not asked in a tight loop: such a wait uses no attempt.
        DownloadError: a passing fault: 5xx, 408, 425, 429.
        DownloadRefused: any other status.
    """
    if status in _WITH_BODY:
        return
    if status in (429, 503):
        seconds = _retry_after(headers.get("Retry-After"), now)
        if seconds is not None:
            wait = min(max(seconds, 1.0), longest_wait)
            raise RetryAfter(wait, f"{where} answered {status} and asks to come back in {wait:.0f} s")
    if status >= 500 or status in _PASSING:
        raise DownloadError(f"{where} answered {status}")
    raise DownloadRefused(f"{where} answered {status}")


def _retry_after(value: str | None, now: Callable[[], float]) -> float | None:
    """Seconds, from a number or an HTTP date; None: the header is absent or says nothing."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:10])
    try:
        return parsedate_to_datetime(value).timestamp() - now()
    except (ValueError, OverflowError):
        return None
