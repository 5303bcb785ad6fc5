"""Reads the URLs of downloads. One parser decides for check and connection alike, so that they can't disagree."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from jobyard.jobs.download.errors import DownloadRefused

_LONGEST = 8192
# Parsers disagree about these, and none is legal in a URL.
_DANGEROUS = re.compile(r"[\x00-\x20\x7f\\]")


def read_url(text: str) -> Url:
    """The parts of an absolute http or https URL, normalized.

    Raises:
        DownloadRefused: it isn't one, or it carries a user name or a password.
    """
    if len(text) > _LONGEST:
        raise DownloadRefused(f"the URL has {len(text)} characters; at most {_LONGEST} are accepted")
    if _DANGEROUS.search(text):
        raise DownloadRefused("the URL contains a space, a backslash or a control character; percent-encode it")
    scheme = text.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        raise DownloadRefused(f"only http and https URLs are downloaded, not {scheme[:20]!r}")
    try:
        url = parse_url(text)
    except LocationParseError:
        # Its message would show the whole URL.
        raise DownloadRefused("this is not a URL: its host or port can't be read") from None
    if url.auth is not None:
        raise DownloadRefused(f"the URL of {url.host} carries a user name or password; they are not accepted in URLs")
    if not url.host:
        raise DownloadRefused("the URL has no host")
    return url


def follow(url: Url, location: str) -> Url:
    """Where a redirect of `url` leads to.

    Raises:
        DownloadRefused: nowhere that may be downloaded from.
    """
    # Headers arrive as Latin-1; a location with other characters was UTF-8.
    location = location.encode("latin-1", "replace").decode("utf-8", "replace").strip()
    return read_url(urljoin(url.url, location))


def shown(url: Url) -> str:
    """The URL for messages and logs: without query and fragment, which often carry a signature."""
    path = url.path or "/"
    return f"{url.scheme}://{url.netloc}{path if len(path) <= 200 else path[:199] + '…'}"
