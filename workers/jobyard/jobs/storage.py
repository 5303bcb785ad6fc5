"""Object storage for what jobs produce and read: a local directory, or a bucket (`s3://`, `gs://`, `az://`) by fsspec.

An object appears whole or not at all. It is staged in a local file first, and handed over only when the block that
writes it has ended well; so writing behaves the same on every kind of storage (one may seek, too), costs no memory,
and a job that dies half-way leaves nothing that could be taken for a result.

A job that is tried again writes its objects again: use names that are derived from the job's id.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import secrets
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobyard.errors import JobyardError

MAX_NAME_BYTES: Final = 512
MAX_SEGMENT_BYTES: Final = 255

# Half-written objects of a local directory lie here, on the same filesystem as the objects, so that renaming is atomic.
_INCOMING: Final = ".incoming"

# What a URL's path may contain as it is, beside letters and digits (RFC 3986, section 3.3).
_UNQUOTED: Final = "/-._~!$&'()*+,;=:@"

# Scheme → (module of the fsspec driver, package that brings it). On all of these a put is atomic.
_DRIVERS: Final = {
    "s3": ("s3fs", "s3fs"),
    "gs": ("gcsfs", "gcsfs"),
    "gcs": ("gcsfs", "gcsfs"),
    "az": ("adlfs", "adlfs"),
    "abfs": ("adlfs", "adlfs"),
}


class StorageConfigError(JobyardError, ValueError):
    """`JOBYARD_STORAGE_URL` can't be used; the message says why and what to do."""


class StorageNameError(ValueError):
    """The name of an object is not acceptable."""


class ObjectNotFound(JobyardError, LookupError):
    """There is no object of that name."""


class StorageSettings(BaseSettings):
    """Where objects are kept.

    Attributes:
        storage_url: `JOBYARD_STORAGE_URL`; empty: the directory `.jobyard/storage` below the working directory.
    """

    model_config = SettingsConfigDict(env_prefix="JOBYARD_", extra="ignore", hide_input_in_errors=True)

    # Kept out of repr: the URL may carry credentials.
    storage_url: str = Field(default="", repr=False)


@functools.lru_cache(maxsize=1)
def get_storage() -> Storage:
    """The storage that the settings name. `get_storage.cache_clear()` makes it read them again.

    Raises:
        StorageConfigError: the settings can't be used.
    """
    return Storage(StorageSettings().storage_url or Path(".jobyard/storage").absolute().as_uri())


class Storage:
    """Named objects under one URL. Safe to share between threads, and to use after a fork.

    Args:
        url: `file:///absolute/directory`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or the
            path of a local directory. Credentials come from where the driver looks (environment, instance role); for
            S3 `s3://KEY:SECRET@bucket/prefix` works, too. They are never shown.

    Raises:
        StorageConfigError: the URL can't be used, or the package of its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        parts = _split(url)
        self._options: dict[str, Any] = {}
        self._directory: Path | None = None
        self._scheme = parts.scheme
        if parts.scheme == "file":
            self._directory = Path(unquote(parts.path))
            self._root = str(self._directory)
            self._url = self._directory.as_uri()
        else:
            _require_driver(parts.scheme)
            self._options = _credentials(parts)
            bucket = parts.netloc.rpartition("@")[2]
            self._root = (bucket + parts.path).rstrip("/")
            self._url = f"{parts.scheme}://{self._root}"
        self._connection: tuple[int, Any] | None = None

    def __repr__(self) -> str:
        return f"Storage({self._url!r})"

    @contextmanager
    def open_write(self, name: str) -> Iterator[BinaryIO]:
        """A file to write an object to; it may seek.

        The object appears when the block ends. If the block raises, nothing appears and nothing is left behind.
        An object of the same name is replaced, in one step.

        Raises:
            StorageNameError: the name is not acceptable.
        """
        check_name(name)
        with _staging_path(self._directory) as staged:
            with staged.open("w+b") as file:
                yield file
            if self._directory is not None:
                _flush_to_disk(staged)
                target = self._directory / name
                target.parent.mkdir(parents=True, exist_ok=True)
                staged.replace(target)
            else:
                self._filesystem().put_file(str(staged), self._path(name))

    @contextmanager
    def open_read(self, name: str) -> Iterator[BinaryIO]:
        """A file to read an object from, which fetches as it is read.

        Raises:
            StorageNameError: the name is not acceptable.
            ObjectNotFound: there is no such object.
        """
        # Object stores open a prefix ("directory") as if it were an empty object.
        self.size(name)
        with self._naming_what_is_missing(name):
            opened = self._filesystem().open(self._path(name), "rb")
        with opened as file:
            yield cast(BinaryIO, file)

    def size(self, name: str) -> int:
        """Bytes that an object holds.

        Raises:
            StorageNameError: the name is not acceptable.
            ObjectNotFound: there is no such object.
        """
        path = self._path(name)
        with self._naming_what_is_missing(name):
            about = self._filesystem().info(path)
        if about["type"] != "file":
            raise ObjectNotFound(f"there is no object {name!r} in {self._url} (there are objects below that name)")
        return int(about["size"])

    def delete(self, name: str) -> None:
        """Remove an object.

        Raises:
            StorageNameError: the name is not acceptable.
            ObjectNotFound: there is no such object.
        """
        # Object stores say nothing when what they shall delete isn't there.
        self.size(name)
        with self._naming_what_is_missing(name):
            self._filesystem().rm_file(self._path(name))

    def url_of(self, name: str) -> str:
        """The full URL of an object, percent-encoded and without credentials. The object need not exist.

        Raises:
            StorageNameError: the name is not acceptable.
        """
        check_name(name)
        return f"{self._url}/{quote(name, safe=_UNQUOTED)}"

    def _path(self, name: str) -> str:
        check_name(name)
        return f"{self._root}/{name}"

    def _filesystem(self) -> Any:
        # The drivers for object stores run an event loop in a thread. A forked child doesn't have it and needs its own.
        if self._connection is None or self._connection[0] != os.getpid():
            import fsspec

            # Listings must not be cached: other processes write and delete, too.
            self._connection = (
                os.getpid(),
                fsspec.filesystem(self._scheme, skip_instance_cache=True, use_listings_cache=False, **self._options),
            )
        return self._connection[1]

    @contextmanager
    def _naming_what_is_missing(self, name: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise ObjectNotFound(f"there is no object {name!r} in {self._url}") from None


def check_name(name: str) -> str:
    """`name`, if it may name an object.

    Raises:
        StorageNameError: says what is wrong with it.
    """
    shown = name if len(name) <= 80 else name[:77] + "..."
    if not name:
        raise StorageNameError("the name of an object can't be empty")
    # Cs are lone surrogates, which can't be encoded; Zl and Zp separate lines.
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        raise StorageNameError(f"object name {shown!r}: control characters are not allowed")
    for character in "\\?#%":
        if character in name:
            raise StorageNameError(f"object name {shown!r}: {character!r} is not allowed")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise StorageNameError(f"object name {shown!r}: longer than {MAX_NAME_BYTES} bytes")
    if name.startswith("/"):
        raise StorageNameError(f"object name {shown!r}: must be relative, without a leading '/'")
    segments = name.split("/")
    if ":" in segments[0]:
        raise StorageNameError(
            f"object name {shown!r}: looks like a URL or a drive; give a name, such as 'reports/7.csv'"
        )
    for segment in segments:
        if not segment:
            raise StorageNameError(f"object name {shown!r}: has an empty part ('//' or a trailing '/')")
        if segment.startswith("."):
            raise StorageNameError(f"object name {shown!r}: no part may start with '.'")
        if len(segment.encode()) > MAX_SEGMENT_BYTES:
            raise StorageNameError(f"object name {shown!r}: a part is longer than {MAX_SEGMENT_BYTES} bytes")
    return name


def _split(url: str) -> SplitResult:
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url):
        if not url:
            raise StorageConfigError(
                "the storage URL is empty; give one such as file:///var/lib/jobyard or s3://bucket/prefix"
            )
        return urlsplit(Path(url).absolute().as_uri())
    parts = urlsplit(url)
    # No message shows the URL as it came: it may carry credentials.
    if parts.scheme != "file" and parts.scheme not in _DRIVERS:
        known = ", ".join(f"{scheme}://" for scheme in ("file", *_DRIVERS))
        raise StorageConfigError(f"the storage URL begins with {parts.scheme}:, which is not one of {known}")
    if parts.query or parts.fragment:
        raise StorageConfigError(
            f"the storage URL ({parts.scheme}://…) has a query or a fragment; options belong in the driver's own "
            "environment variables, such as AWS_ENDPOINT_URL"
        )
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/"):
            raise StorageConfigError(
                "a file: storage URL must be absolute, with three slashes: file:///var/lib/jobyard"
            )
        if ".." in unquote(parts.path).split("/"):
            raise StorageConfigError("a file: storage URL can't contain '..'")
    elif not parts.netloc.rpartition("@")[2]:
        raise StorageConfigError(f"the storage URL names no bucket; write {parts.scheme}://bucket/prefix")
    return parts


def _require_driver(scheme: str) -> None:
    module, package = _DRIVERS[scheme]
    for needed, install in (("fsspec", "jobyard[jobs]"), (module, package)):
        try:
            importlib.import_module(needed)
        except ImportError as error:
            raise StorageConfigError(
                f"storage on {scheme}:// needs the package {install!r}: pip install {install!r} ({error})"
            ) from error


def _credentials(parts: SplitResult) -> dict[str, Any]:
    if "@" not in parts.netloc:
        return {}
    if parts.scheme != "s3":
        raise StorageConfigError(
            f"a {parts.scheme}:// storage URL can't carry credentials; give them the way the driver reads them, such "
            "as by GOOGLE_APPLICATION_CREDENTIALS"
        )
    key, _, secret = parts.netloc.rpartition("@")[0].partition(":")
    return {"key": unquote(key), "secret": unquote(secret)}


@contextmanager
def _staging_path(directory: Path | None) -> Iterator[Path]:
    """Where to write an object before it is handed over. Whatever is left there at the end is removed."""
    if directory is None:
        handle, name = tempfile.mkstemp(prefix="jobyard-")
        os.close(handle)
        path = Path(name)
    else:
        incoming = directory / _INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        path = incoming / secrets.token_hex(16)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    # By path, since whoever wrote may have closed the file: a TextIOWrapper around it does so when it is collected.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
