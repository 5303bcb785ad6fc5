"""Where `jobyard up` keeps everything, and who may use it: one at a time."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final, Self

from jobyard.errors import JobyardError

#: Seconds in which what a killed predecessor left behind is gone.
_PATIENCE: Final = 5.0


class DirectoryError(JobyardError):
    """The directory can't be used; the message says why and what to do."""


class Directory:
    """The directory of one yard, locked for it.

    The lock is an open file, so that the kernel frees it when its holders are gone, however they ended. Valkey holds it, too:
    two servers on one append-only file would ruin it.

    Args:
        path: made if it isn't there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.mail = self.path / "mail"
        self.storage = self.path / "storage"
        self.logs = self.path / "logs"
        self.valkey = self.path / "valkey"
        self.reports_database = self.path / "reports.db"
        self.environment = self.path / "env"
        self.picture_port = self.path / "picture-port"
        self.lock = -1

    def __enter__(self) -> Self:
        try:
            # What is in it may be private: e-mails, arguments of jobs. A directory that is there already is left as it is.
            self.path.mkdir(0o700, parents=True, exist_ok=True)
            for one in (self.mail, self.storage, self.logs, self.valkey):
                one.mkdir(0o700, exist_ok=True)
            self.lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DirectoryError(f"{self.path} can't be used: {error.strerror or error}") from None
        self._take_lock()
        os.ftruncate(self.lock, 0)
        os.write(self.lock, f"{os.getpid()}\n".encode())
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self.lock)

    def _take_lock(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                holder = os.pread(self.lock, 20, 0).decode(errors="replace").strip()
                os.close(self.lock)
                raise DirectoryError(
                    f"another `jobyard up` (process {holder}) uses {self.path}: stop it first, or choose another directory "
                    "with --data"
                ) from None
            return
