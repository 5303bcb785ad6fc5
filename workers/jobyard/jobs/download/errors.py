"""What a download may end in: worth another attempt, or final. A server's "come back later" is `jobyard.RetryAfter`."""

from __future__ import annotations

from jobyard.errors import JobyardError, PermanentError


class DownloadError(JobyardError):
    """The download failed, but may succeed later: time-out, lost connection, HTTP 5xx, a name that didn't resolve."""


class DownloadRefused(PermanentError):
    """The download will not succeed however often it is tried: a URL, address, size or answer that isn't accepted."""
