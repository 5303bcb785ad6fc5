"""One cluster in a network, and one in a directory: the addresses of the one, and the files of the other, are fixed."""

from __future__ import annotations

import fcntl
import socket
import time
from pathlib import Path


class ClusterBusy(RuntimeError):
    """There is a cluster in this network or in this checkout already."""


class Locks:
    """Both, held until `release`, and by whatever keeps `descriptor` open."""

    def __init__(self, directory: Path) -> None:
        """Raises:
        ClusterBusy: another one runs. One that was killed may need some seconds to be gone, which are waited for.
        """
        # An abstract name belongs to a network namespace; it is free when its process is gone.
        self._network = socket.socket(socket.AF_UNIX)
        directory.parent.mkdir(parents=True, exist_ok=True)
        self._directory = directory.with_name(f"{directory.name}.lock").open("w")
        deadline = time.monotonic() + 20
        while not self._take():
            if time.monotonic() > deadline:
                self.release()
                raise ClusterBusy("A cluster of these tests runs in this network or in this checkout: stop it first.")
            time.sleep(0.1)

    @property
    def descriptor(self) -> int:
        """Who inherits it keeps the directory locked."""
        return self._directory.fileno()

    def release(self) -> None:
        self._network.close()
        self._directory.close()

    def _take(self) -> bool:
        try:
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._network.bind("\0jobyard-tests-cluster")
        except OSError:
            return False
        return True
