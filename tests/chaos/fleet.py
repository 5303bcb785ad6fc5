"""Real worker processes, and how to kill them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from support.processes import end, spawn

_HERE = Path(__file__).parent


class Fleet:
    """One `jobyard worker` with its children.

    Args:
        url: of Redis, or of a proxy before it.
        record: the file that the jobs write into.
        skew: seconds by which the clock of these processes is wrong.
    """

    def __init__(
        self, url: str, namespace: str, record: Path, *, processes: int = 2, threads: int = 2, skew: float = 0
    ) -> None:
        environment = {
            **os.environ,
            "JOBYARD_REDIS_URL": url,
            "JOBYARD_NAMESPACE": namespace,
            "CHAOS_RECORD": str(record),
            "CHAOS_SKEW": str(skew),
            "PYTHONPATH": str(_HERE),
        }
        command = [sys.executable, "-m", "jobyard.cli", "worker", "jobs", "--queues", "chaos,chaos-calls"]
        command += ["--processes", str(processes), "--threads", str(threads), "--probe-port", "0"]
        self.log = record.with_suffix(f".{id(self)}.log")
        with self.log.open("wb") as log:
            self._supervisor = spawn(command, env=environment, stdout=log, stderr=log)

    def children(self) -> list[int]:
        """The worker processes, without the supervisor."""
        path = Path(f"/proc/{self._supervisor.pid}/task/{self._supervisor.pid}/children")
        try:
            return [int(pid) for pid in path.read_text().split()]
        except OSError:
            return []

    def kill_child(self, which: int) -> int | None:
        """Kill one of the children (-9). Returns its process id; None: there is none now."""
        children = self.children()
        return self._signal(children[which % len(children)], signal.SIGKILL) if children else None

    def freeze_child(self, which: int) -> int | None:
        """Stop one of the children in its tracks."""
        children = self.children()
        return self._signal(children[which % len(children)], signal.SIGSTOP) if children else None

    def thaw(self, pid: int) -> None:
        self._signal(pid, signal.SIGCONT)

    def kill_all(self) -> list[int]:
        """Kill all processes (-9) as if at once, so that none sees another die. Returns the children."""
        self._supervisor.send_signal(signal.SIGSTOP)
        children = self.children()
        for child in children:
            self._signal(child, signal.SIGKILL)
        self._supervisor.kill()
        self._supervisor.wait()
        return children

    def stop(self) -> int:
        """Drain. Returns the exit status."""
        end(self._supervisor, timeout=40)
        return self._supervisor.returncode

    def _signal(self, pid: int, number: signal.Signals) -> int | None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        return pid
