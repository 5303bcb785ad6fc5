"""Downloads for jobs: a URL that a user gave is fetched without becoming a way into the private network.

    with download(url, max_bytes=20_000_000, timeout=30) as body:
        body.file.read()

Every address is checked before it is connected to, on every redirect; size and total time are bounded while streaming.
The settings are `JOBYARD_DOWNLOAD_…`, see `DownloadSettings`.
"""

from jobyard.jobs.download.errors import DownloadError, DownloadRefused
from jobyard.jobs.download.fetch import Body, download
from jobyard.jobs.download.settings import DownloadSettings

__all__ = ["Body", "DownloadError", "DownloadRefused", "DownloadSettings", "download"]
