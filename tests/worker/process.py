"""One `jobyard worker` as a test sees it."""

from __future__ import annotations

import http.client
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from support.processes import end, free_port, spawn
from support.waiting import eventually

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class Run:
    """A run that an actor of `programs/app.py` has noted."""

    name: str
    attempt: int
    pid: int


class WorkerProcess:
    """Started at once.

    Args:
        folder: for its log and its record.
        arguments: of `jobyard worker`, modules first.
        path: where its modules are.
        wrapper: a program (and arguments) that starts it.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        namespace: str,
        *arguments: str,
        path: Path = PROGRAMS,
        environment: Mapping[str, str] | None = None,
        wrapper: tuple[str, ...] = (),
    ) -> None:
        self.record = folder / "record"
        self.record.touch()
        self.port = free_port()
        self._log = folder / f"worker-{self.port}.log"
        command = [*wrapper, sys.executable, "-m", "jobyard.cli", "worker", *(arguments or ("app",))]
        command += ["--path", str(path), "--probe-port", str(self.port)]
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")},
            "JOBYARD_REDIS_URL": url,
            "JOBYARD_NAMESPACE": namespace,
            "RECORD": str(self.record),
            **(environment or {}),
        }
        with self._log.open("wb") as log:
            self._process = spawn(command, env=env, stdout=log, stderr=log)

    # Processes -----------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid

    def children(self) -> list[int]:
        """Process ids of the children, oldest first."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        try:
            return [int(pid) for pid in path.read_text().split()]
        except OSError:
            return []

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the supervisor (-9)."""
        self._process.kill()
        self._process.wait()

    def wait(self, timeout: float = 15) -> int:
        """Wait for its end. Returns the exit status."""
        return self._process.wait(timeout)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 15) -> int:
        """Tell it to stop, and wait. Returns the exit status."""
        self.tell(number)
        return self.wait(timeout)

    def end(self) -> None:
        """For the end of the test: whatever happens, it is gone."""
        if self._process.poll() is None:
            self.tell(signal.SIGTERM)
            self.tell(signal.SIGINT)
        end(self._process, 5)

    # What it says --------------------------------------------------------------------------------------------------

    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str) -> tuple[int, str]:
        """Ask a probe. Status 0: it is not there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()

    def ready(self) -> WorkerProcess:
        """Wait until it is."""
        eventually(lambda: self.get("/readyz")[0] == 200, 30, what=f"the worker is ready; its log:\n{self.log()}")
        return self

    def metric(self, name: str, **labels: str) -> float | None:
        """One sample of its metrics; None: there is none."""
        _, text = self.get("/metrics")
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def runs(self) -> list[Run]:
        """What its jobs have noted, in order."""
        rows = [line.split() for line in self.record.read_text().splitlines()]
        return [Run(name, int(attempt), int(pid)) for name, attempt, pid in rows]

    def names(self) -> Counter[str]:
        """How often each name was noted."""
        return Counter(run.name for run in self.runs())

    def release(self, name: str) -> None:
        """Let the job of `hold` with this name end."""
        self.record.with_name(name).touch()


def alive(pid: int) -> bool:
    """Whether there is such a process, other than a dead one that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
