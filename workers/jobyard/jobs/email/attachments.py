"""Loads attachments, from URLs and from the storage, within one limit for all of an e-mail's together."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable
from typing import Final

from jobyard.jobs.email.errors import AttachmentError
from jobyard.jobs.email.message import File
from jobyard.jobs.email.payload import Attachment
from jobyard.jobs.storage import ObjectNotFound, get_storage

# Seconds for one download, from the name's lookup to the last byte.
_DOWNLOAD_TIME: Final = 60.0
_UNKNOWN: Final = "application/octet-stream"


def load(attachments: Iterable[Attachment], max_bytes: int) -> list[File]:
    """The attachments with their content.

    Args:
        max_bytes: what they may have together.

    Raises:
        AttachmentError: an object doesn't exist, or they are too large.
        DownloadError, RetryAfter: a download failed and may succeed later.
        DownloadRefused: a download will never succeed.
    """
    files: list[File] = []
    left = max_bytes
    for number, attachment in enumerate(attachments):
        where = f"attachments.{number} ({attachment.filename})"
        file = _from_storage(attachment, left, where) if attachment.url is None else _from_url(attachment, left)
        left -= len(file.content)
        files.append(file)
    return files


def _from_storage(attachment: Attachment, left: int, where: str) -> File:
    assert attachment.object is not None
    storage = get_storage()
    try:
        with storage.open_read(attachment.object) as stored:
            content = stored.read(left + 1)
    except ObjectNotFound as error:
        raise AttachmentError(f"{where}: {error}") from None
    if len(content) > left:
        raise AttachmentError(
            f"{where}: the attachments have more bytes together than JOBYARD_SMTP_MAX_ATTACHMENT_BYTES allows"
        )
    return File(attachment.filename, _content_type(attachment, None), content)


def _from_url(attachment: Attachment, left: int) -> File:
    # Imported here: downloads need urllib3, and whoever only enqueues e-mails may not have it.
    from jobyard.jobs.download import download

    assert attachment.url is not None
    with download(attachment.url, max_bytes=left, timeout=_DOWNLOAD_TIME) as body:
        return File(attachment.filename, _content_type(attachment, body.content_type), body.file.read())


def _content_type(attachment: Attachment, served_as: str | None) -> str:
    if attachment.content_type is not None:
        return attachment.content_type
    guessed, compression = mimetypes.guess_type(attachment.filename)
    if compression is not None:
        return "application/gzip" if compression == "gzip" else _UNKNOWN
    for candidate in (guessed, (served_as or "").partition(";")[0].strip().lower()):
        # Mails and parts of mails can't be attached in base64.
        if candidate and re.fullmatch(r"(?!multipart/|message/)[a-z0-9.+-]+/[a-z0-9.+-]+", candidate):
            return candidate
    return _UNKNOWN
