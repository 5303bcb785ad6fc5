"""The workers of the benchmark: the real command, in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from jobyard.broker import JobyardBroker
from jobyard.broker.workers import list_workers
from jobyard.errors import JobyardError

QUEUE = "bench"


class FleetError(JobyardError):
    """The workers did not start."""


class Fleet:
    """`jobyard worker`, as anybody would start it.

    Args:
        url: of Redis. Handed over in the environment, since it may hold a password.
    """

    def __init__(self, broker: JobyardBroker, url: str, processes: int, threads: int) -> None:
        self._broker = broker
        self._processes = processes
        command = [sys.executable, "-m", "jobyard.cli", "worker", "jobyard.bench.actors", "--queues", QUEUE]
        command += ["--processes", str(processes), "--threads", str(threads), "--probe-port", "0"]
        command += ["--log-level", "warning"]
        environment = {**os.environ, "JOBYARD_REDIS_URL": url, "JOBYARD_NAMESPACE": broker.namespace}
        self._log = Path(tempfile.mkstemp(prefix="jobyard-bench-", suffix=".log")[1])
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own command

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 30
        while len(list_workers(self._broker)) < self._processes:
            if not self.alive() or time.monotonic() > deadline:
                self._process.kill()
                raise FleetError(f"the workers did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.unlink(missing_ok=True)

    def alive(self) -> bool:
        """Whether they are there."""
        return self._process.poll() is None
