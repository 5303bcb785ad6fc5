"""The operator as a process of this machine, with the rights of its service account and no others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from support.processes import end, spawn
from support.waiting import eventually


class OperatorProcess:
    """One operator.

    Args:
        kubeconfig: its access.
        arguments: of `jobyard operator`, besides the port.
        environment: more variables.

    Attributes:
        identity: in the election, from the next start on; "": another one with each start.
    """

    def __init__(
        self, kubeconfig: Path, log: Path, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        self._command = [sys.executable, "-m", "jobyard.cli", "operator", "--port", "0", *arguments]
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")},
            "KUBECONFIG": str(kubeconfig),
            "JOBYARD_LOG_FORMAT": "json",
            "PYTHONFAULTHANDLER": "1",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.identity = ""

    def start(self) -> None:
        named = {"JOBYARD_OPERATOR_IDENTITY": self.identity} if self.identity else {}
        with self._log.open("ab") as log:
            self._process = spawn(self._command, stdout=log, stderr=log, env={**self._environment, **named})

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Without a warning."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """As Kubernetes does it."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGCONT)
            end(self._process)

    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = 10) -> int:
        """Send a signal, and return its exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout)

    def messages(self) -> list[str]:
        """What it has logged."""
        if not self._log.exists():
            return []
        return [json.loads(line)["message"] for line in self._log.read_text().splitlines() if line.startswith("{")]

    def restart(self) -> None:
        """End it in order, if it runs, and start another one, which leads as soon as the Lease is free."""
        self.stop()
        self._log.unlink()
        self.start()
        self.wait_until_it_leads(60)

    def leads(self) -> bool:
        """Whether it says that it leads."""
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-3000:]
        return "jobyard_operator_leads 1.0" in self.metrics()

    def metrics(self) -> str:
        """Its metrics; '' while it doesn't serve them yet."""
        address = next(
            (line.rpartition(" ")[2] for line in reversed(self.messages()) if line.startswith("Probes")), None
        )
        if address is None:
            return ""
        try:
            with urllib.request.urlopen(f"{address.replace('0.0.0.0', '127.0.0.1')}/metrics", timeout=5) as reply:
                return str(reply.read().decode())
        except (urllib.error.URLError, OSError):
            return ""

    def wait_until_it_leads(self, timeout: float = 30) -> None:
        eventually(self.leads, timeout, what="the operator leads")
