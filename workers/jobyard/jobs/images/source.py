"""Where an image comes from: a URL, or an object in the storage. Both end in a file of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from jobyard.jobs.download import download
from jobyard.jobs.images.errors import ImageRefused
from jobyard.jobs.images.payload import ProcessImage
from jobyard.jobs.images.settings import ImageSettings
from jobyard.jobs.storage import ObjectNotFound, get_storage

OnProgress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Source:
    """An image file.

    Attributes:
        file: at position 0.
        size: in bytes.
        content_type: as the sender says; empty where nobody says anything.
    """

    file: IO[bytes]
    size: int
    content_type: str = ""


@contextmanager
def open_source(payload: ProcessImage, settings: ImageSettings, on_progress: OnProgress) -> Iterator[Source]:
    """The image that the payload names.

    Args:
        on_progress: told how many bytes of a download have come, of how many (None: not known).

    Raises:
        DownloadError, RetryAfter: the download may work later.
        DownloadRefused: it never will.
        ImageRefused: there is no such object, or it is too large.
    """
    if payload.image_url is not None:
        with download(
            payload.image_url,
            max_bytes=settings.max_bytes,
            timeout=settings.timeout,
            accept="image/*",
            on_progress=on_progress,
        ) as body:
            yield Source(body.file, body.size, body.content_type or "")
        return

    assert payload.object is not None
    try:
        with get_storage().open_read(payload.object) as file:
            size = file.seek(0, 2)
            if size > settings.max_bytes:
                raise ImageRefused(
                    f"object {payload.object!r} has {size} bytes; at most {settings.max_bytes} are accepted "
                    "(JOBYARD_IMAGE_MAX_BYTES)"
                )
            file.seek(0)
            yield Source(file, size)
    except ObjectNotFound as error:
        raise ImageRefused(str(error)) from error
