"""`download`: redirects by hand, limits while streaming, the body in a spooled file."""

from __future__ import annotations

import functools
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import version
from typing import IO

from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError
from urllib3.util import Url

from jobyard.jobs.download.answers import REDIRECTS, check_status
from jobyard.jobs.download.connection import Opener, connection_to
from jobyard.jobs.download.deadline import Deadline
from jobyard.jobs.download.decoding import decode
from jobyard.jobs.download.errors import DownloadError, DownloadRefused
from jobyard.jobs.download.settings import DownloadSettings
from jobyard.jobs.download.urls import follow, read_url, shown

_CHUNK = 64 * 1024

OnProgress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Body:
    """A downloaded body.

    Attributes:
        file: the bytes, at position 0. In memory if small, otherwise a temporary file. Closed when the `with` ends.
        content_type: as the server said, without a check.
        size: in bytes.
        url: where it came from in the end, after redirects.
    """

    file: IO[bytes]
    content_type: str | None
    size: int
    url: str


@contextmanager
def download(
    url: str,
    *,
    max_bytes: int,
    timeout: float,
    accept: str = "*/*",
    on_progress: OnProgress | None = None,
    settings: DownloadSettings | None = None,
) -> Iterator[Body]:
    """Fetch `url` whole, then give its body.

    Args:
        max_bytes: a longer body is refused, at the latest when so many bytes have come.
        timeout: seconds for everything: lookups, redirects, and the last byte.
        accept: the `Accept` header.
        on_progress: called while bytes come, with how many there are, and how many there will be (None: not known).
        settings: None: from the environment.

    Raises:
        DownloadError: it may work later.
        RetryAfter: the server asks to come back later.
        DownloadRefused: it will never work, or must not be done.
    """
    settings = settings or DownloadSettings()
    opener = Opener(settings.policy(), Deadline(timeout), settings.connect_timeout)
    with tempfile.SpooledTemporaryFile(max_size=settings.memory) as file:
        target = read_url(url)
        for _ in range(settings.max_redirects + 1):
            with _exchange(target, opener, settings, accept) as answer:
                location = answer.headers.get("Location")
                if answer.status in REDIRECTS and location:
                    target = follow(target, location)
                    continue
                check_status(answer.status, answer.headers, shown(target), settings.max_retry_after)
                size = _receive(answer, file, target, opener.deadline, max_bytes, on_progress)
            file.seek(0)
            yield Body(file, answer.headers.get("Content-Type"), size, target.url)
            return
        raise DownloadRefused(f"{shown(read_url(url))} led to more than {settings.max_redirects} redirects")


@contextmanager
def _exchange(target: Url, opener: Opener, settings: DownloadSettings, accept: str) -> Iterator[HTTPResponse]:
    """Send the request; give the answer, its body not yet read."""
    headers = {"Accept": accept, "Accept-Encoding": "identity", "Connection": "close", "User-Agent": _user_agent()}
    with closing(connection_to(target, opener, settings.ca_file)) as connection:
        with _network_errors(target, opener.deadline):
            connection.request("GET", target.request_uri, headers=headers, preload_content=False, decode_content=False)
            answer = connection.getresponse()
        with closing(answer):
            yield answer


def _receive(
    answer: HTTPResponse,
    file: IO[bytes],
    target: Url,
    deadline: Deadline,
    max_bytes: int,
    on_progress: OnProgress | None,
) -> int:
    """Copy the body into `file`; returns its size."""
    where = shown(target)
    announced = answer.length_remaining
    if announced is not None and announced > max_bytes:
        raise DownloadRefused(f"{where} has {announced} bytes; at most {max_bytes} are accepted")
    coding = answer.headers.get("Content-Encoding", "")
    size = 0
    # Bounded before and after decoding: gzip can hold nothing at all at any length.
    for piece in decode(_bounded(_chunks(answer, target, deadline), where, max_bytes), coding, where):
        size += len(piece)
        if size > max_bytes:
            raise _too_large(where, max_bytes)
        file.write(piece)
        if on_progress is not None:
            on_progress(size, None if coding else announced)
    return size


def _chunks(answer: HTTPResponse, target: Url, deadline: Deadline) -> Iterator[bytes]:
    with _network_errors(target, deadline):
        yield from answer.stream(_CHUNK, decode_content=False)


def _bounded(chunks: Iterator[bytes], where: str, max_bytes: int) -> Iterator[bytes]:
    received = 0
    for chunk in chunks:
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(where, max_bytes)
        yield chunk


def _too_large(where: str, max_bytes: int) -> DownloadRefused:
    return DownloadRefused(f"{where} is longer than {max_bytes} bytes, which is what is accepted")


@contextmanager
def _network_errors(target: Url, deadline: Deadline) -> Iterator[None]:
    """Turn what sockets, `http.client` and urllib3 raise into `DownloadError` and `DownloadRefused`."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise DownloadRefused(
            f"{shown(target)}: the server's certificate does not hold: {error.verify_message}; "
            "for an authority of your own set JOBYARD_DOWNLOAD_CA_FILE"
        ) from error
    except (OSError, HTTPException, HTTPError) as error:
        if deadline.passed:
            raise DownloadError(f"{shown(target)} took longer than {deadline.seconds:g} s") from error
        if isinstance(error, socket.gaierror):
            raise DownloadError(f"{shown(target)}: the host name does not resolve: {error.strerror}") from error
        raise DownloadError(f"{shown(target)}: {str(error) or type(error).__name__}") from error


@functools.cache
def _user_agent() -> str:
    return f"jobyard/{version('jobyard')}"
