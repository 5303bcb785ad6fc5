"""Keys with names, from a setting or from a file that may change: the first one is used for what is new, all of them for what is
there already. So keys are rotated without a moment in which something can't be read.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

_name: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
#: A file is looked at again at most once in so many seconds.
_LOOK: Final = 1.0

_log: Final = logging.getLogger("jobyard.keys")


class KeyRing:
    """Named keys. Thread-safe.

    Args:
        keys: by name; the first is the one to use.
        read: gives them anew, or None where they have not changed. None: they never change.
    """

    def __init__(self, keys: Mapping[str, bytes], read: Callable[[], dict[str, bytes] | None] | None = None) -> None:
        self._keys = dict(keys)
        self._read = read
        self._lock = threading.Lock()
        self._look_at = time.monotonic() + _LOOK

    @classmethod
    def from_text(cls, text: str, what: str, size: int = 32) -> KeyRing:
        """Keys as `NAME:BASE64`, separated by commas or line ends.

        Args:
            what: the setting that it comes from, for errors.
            size: bytes of a key.

        Raises:
            ValueError: says what is wrong, without showing a key.
        """
        return cls(parse(text, what, size))

    @classmethod
    def from_file(cls, path: str | Path, what: str, size: int = 32) -> KeyRing:
        """The same from a file, which is read anew when it has changed, as a mounted Secret does.

        Raises:
            ValueError: it can't be read, or as `from_text`.
        """
        file = _File(Path(path), what, size)
        keys = file.read()
        assert keys is not None
        return cls(keys, file.read)

    def first(self) -> tuple[str, bytes]:
        """Name and bytes of the key for what is new."""
        self._refresh()
        return next(iter(self._keys.items()))

    def get(self, name: str) -> bytes | None:
        """The key of that name; None: it is not here."""
        self._refresh(now=name not in self._keys)
        return self._keys.get(name)

    def _refresh(self, *, now: bool = False) -> None:
        if self._read is None or (not now and time.monotonic() < self._look_at):
            return
        with self._lock:
            self._look_at = time.monotonic() + _LOOK
            try:
                keys = self._read()
            except ValueError as error:
                # What we have still works. (A file that is being replaced may be half there.)
                _log.error("%s. The keys read before are kept.", error)
                return
            if keys is not None:
                _log.info("Keys were read anew: %s.", ", ".join(keys))
                self._keys = keys


class _File:
    def __init__(self, path: Path, what: str, size: int) -> None:
        self._path = path
        self._what = what
        self._size = size
        self._seen: tuple[int, ...] = ()

    def read(self) -> dict[str, bytes] | None:
        """The keys; None: the file is as it was."""
        try:
            # A mounted Secret is a link that is pointed elsewhere: another file, perhaps with the same size and time.
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen == self._seen:
                return None
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self._seen = ()
            raise ValueError(f"{self._what}: {self._path} can't be read: {type(error).__name__}") from None
        self._seen = seen
        return parse(text, f"{self._what}: {self._path}", self._size)


def parse(text: str, what: str, size: int) -> dict[str, bytes]:
    """See `KeyRing.from_text`."""
    keys: dict[str, bytes] = {}
    entries = [entry.strip() for entry in re.split(r"[,\n]", text) if entry.strip()]
    for number, entry in enumerate(entries, 1):
        name, colon, encoded = entry.partition(":")
        if not colon or not _name.fullmatch(name):
            raise ValueError(f"{what}: key {number} is not NAME:BASE64, with a name of 1 to 32 letters, digits, _ . -")
        try:
            key = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"{what}: key {name!r} is not BASE64") from None
        if len(key) != size:
            raise ValueError(
                f"{what}: key {name!r} has {len(key)} bytes instead of {size}; make one with `openssl rand -base64 {size}`"
            )
        if name in keys:
            raise ValueError(f"{what}: there are two keys {name!r}")
        keys[name] = key
    if not keys:
        raise ValueError(f"{what}: there is no key in it")
    return keys
