"""What a worker shall do, as the command line says it. Checked here, before any process is started."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from jobyard.broker.keys import check_queue_name
from jobyard.errors import JobyardError
from jobyard.worker.cpu import processes_for
from jobyard.worker.logs import LEVELS, LogFormat

DEFAULT_THREADS: Final = 8
#: Kubernetes waits 30 s before it kills; what is given back at the end must be told to Redis within that.
DEFAULT_GRACE: Final = 25.0
DEFAULT_PROBE_PORT: Final = 9191

_module: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*)?")


class WorkerSettingsError(JobyardError):
    """A worker can't be started as the settings say; the message says which one is wrong and what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Settings of one `jobyard worker`.

    Attributes:
        modules: `package.module` or `package.module:attribute` (a broker, or a function that returns one).
        queues: which to serve; empty: all that the modules declare.
        processes: how many; None: as many as the container has processors.
        threads: in each process.
        path: directories that come first where modules are looked for.
        grace: seconds from SIGTERM until what still runs is given back.
        max_jobs: a process is replaced after about so many jobs; None: never.
        max_crashes: the worker ends when so many processes have died in a row before any job had ended; None: it tries for ever.
        max_memory: a process is replaced when it is larger than so many MiB; None: never.
        probe_host: address that the probes listen on; "*": all; None: all inside Kubernetes, otherwise 127.0.0.1.
        probe_port: 0: no probes; None: 9191 if nobody else has it.
        log_format, log_level: see `logs.py`.

    Raises:
        WorkerSettingsError: one of them is wrong.
    """

    modules: tuple[str, ...]
    queues: tuple[str, ...] = ()
    processes: int | None = None
    threads: int = DEFAULT_THREADS
    path: tuple[str, ...] = (".",)
    grace: float = DEFAULT_GRACE
    max_jobs: int | None = None
    max_crashes: int | None = None
    max_memory: int | None = None
    probe_host: str | None = None
    probe_port: int | None = None
    log_format: LogFormat = "text"
    log_level: str = "info"

    def __post_init__(self) -> None:
        if not self.modules:
            raise WorkerSettingsError(
                "name at least one module that declares actors, for instance: jobyard worker app.jobs"
            )
        for module in self.modules:
            if not _module.fullmatch(module):
                raise WorkerSettingsError(
                    f"{module!r} is not a module's name: write package.module (not a path, without .py), or "
                    "package.module:attribute to name the broker in it"
                )
        for queue in self.queues:
            try:
                check_queue_name(queue)
            except ValueError as error:
                raise WorkerSettingsError(f"--queues: {error}") from None
        _within("--processes", self.processes, 1, 1024)
        _within("--threads", self.threads, 1, 1024)
        _within("--grace", self.grace, 0, 86_400)
        _within("--max-jobs", self.max_jobs, 1, 10**12)
        _within("--max-crashes", self.max_crashes, 1, 1000)
        _within("--max-memory", self.max_memory, 16, 10**9)
        _within("--probe-port", self.probe_port, 0, 65535)
        if self.log_level not in LEVELS:
            raise WorkerSettingsError(f"--log-level is one of {', '.join(LEVELS)}, not {self.log_level!r}")

    def process_count(self) -> int:
        """How many processes shall serve."""
        return self.processes if self.processes is not None else processes_for()

    def probe_addresses(self) -> str | None:
        """What to bind; None: all addresses."""
        host = self.probe_host
        if host is None:
            # Only the kubelet, on the pod's own address, must be let in without being told so.
            host = "*" if "KUBERNETES_SERVICE_HOST" in os.environ else "127.0.0.1"
        return None if host == "*" else host


def _within(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise WorkerSettingsError(f"{name} is a number from {least:g} to {most:g}, not {value:g}")
