"""The workers of `jobyard chaos`, and killing them. Only processes that were started here can be killed here."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from jobyard.broker import JobyardBroker
from jobyard.broker.workers import list_workers
from jobyard.chaos import QUEUE, RECORD, RUNNER
from jobyard.chaos.record import read
from jobyard.errors import JobyardError


class FleetError(JobyardError):
    """The workers did not start."""


class Fleet:
    """Some `jobyard worker`, each a group of processes of its own.

    Args:
        url: of Redis. Handed over in the environment, since it may hold a password.
        directory: for what they write.
    """

    def __init__(
        self, broker: JobyardBroker, url: str, directory: Path, *, workers: int, processes: int, threads: int
    ) -> None:
        self._broker = broker
        self.record = directory / "record"
        self._log = directory / "log"
        self._environment = {
            **os.environ,
            "JOBYARD_REDIS_URL": url,
            "JOBYARD_NAMESPACE": broker.namespace,
            RECORD: str(self.record),
            RUNNER: str(os.getpid()),
        }
        self._command = [
            sys.executable, "-m", "jobyard.cli", "worker", "run", "jobyard.chaos.actors", "--queues", QUEUE,
            "--processes", str(processes), "--threads", str(threads), "--probe-port", "0", "--log-level", "warning",
        ]  # fmt: skip
        self._wanted = workers
        self._workers: list[subprocess.Popen[bytes]] = []
        #: Process → when it was killed, in nanoseconds of the monotonic clock.
        self.kills: dict[int, int] = {}

    def __enter__(self) -> Self:
        self.replenish()
        deadline = time.monotonic() + 60
        while not any(QUEUE in one.queues for one in list_workers(self._broker)):
            if time.monotonic() > deadline or all(one.poll() is not None for one in self._workers):
                self._end(signal.SIGKILL)
                raise FleetError(f"the workers did not start:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(signal.SIGTERM)

    def replenish(self) -> None:
        """Start workers in place of those that are gone."""
        for one in [one for one in self._workers if one.poll() is not None]:
            self._signal_group(one.pid, signal.SIGKILL)  # Its children, if it died alone.
            self._workers.remove(one)
        while len(self._workers) < self._wanted:
            with self._log.open("ab") as log:
                self._workers.append(
                    subprocess.Popen(  # noqa: S603 - our own command
                        self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                        start_new_session=True,
                    )
                )  # fmt: skip

    def kill_process(self, dice: random.Random) -> bool:
        """Kill one process that runs jobs (-9); its supervisor sees it. False: none is there."""
        there = self._processes()
        if not there:
            return False
        pid = dice.choice(there)
        return self._kill(pid)

    def kill_worker(self, dice: random.Random) -> bool:
        """Kill a whole worker (-9), supervisor and all, as a node that goes away: only the leases tell."""
        there = [one for one in self._workers if one.poll() is None]
        if not there:
            return False
        worker = dice.choice(there)
        now = time.monotonic_ns()
        self.kills.update(dict.fromkeys(self._processes(worker.pid), now))
        self._signal_group(worker.pid, signal.SIGKILL)
        worker.wait()
        return True

    def _processes(self, group: int | None = None) -> list[int]:
        """Processes that run jobs, of one worker or of all. What was killed is not among them."""
        groups = {one.pid for one in self._workers if one.poll() is None} if group is None else {group}
        started = {line.pid for line in read(self.record) if line.what == "worker"}
        return sorted(pid for pid in started - self.kills.keys() if _group_of(pid) in groups)

    def _kill(self, pid: int) -> bool:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.kills[pid] = time.monotonic_ns()
        return True

    def _end(self, number: signal.Signals) -> None:
        for one in self._workers:
            if one.poll() is None:
                one.send_signal(number)
        for one in self._workers:
            try:
                one.wait(30)
            except subprocess.TimeoutExpired:
                pass
            finally:
                self._signal_group(one.pid, signal.SIGKILL)
                one.wait()

    @staticmethod
    def _signal_group(group: int, number: signal.Signals) -> None:
        # Nothing of it may be left; macOS then says that it is not permitted.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _group_of(pid: int) -> int | None:
    """The group that a process belongs to: that of the worker that was started here. None: it is gone."""
    try:
        return os.getpgid(pid)
    except OSError:
        return None
