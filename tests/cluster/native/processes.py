"""Programs that run as long as the cluster does, and end with whoever started them, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from jobyard_operator.local import leash


class ProgramEnded(RuntimeError):
    """A program of the cluster has ended that should run."""


class Program:
    """One program. Its output goes to a file, whose last lines are shown if it ends by itself.

    Each has a PID namespace of its own, so that killing it takes along all that it started.

    Args:
        command: the program and its arguments.
        log: the file for its output; appended to.
        options: more of `unshare`'s, such as `--mount`.
    """

    def __init__(self, name: str, command: Sequence[str | Path], log: Path, *, options: Sequence[str] = ()) -> None:
        self.name = name
        self._command = [str(part) for part in command]
        self._log = log
        self._options = list(options)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, held: Sequence[int] = ()) -> None:
        """Run it. The kernel ends it when this process has gone.

        Args:
            held: file descriptors that stay open as long as anything of it runs.
        """
        command = [
            sys.executable, "-I", leash.__file__, str(os.getpid()), str(int(signal.SIGKILL)),
            "unshare", "--pid", "--fork", "--kill-child=SIGKILL", *self._options, "--", *self._command,
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=held
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Raises:
        ProgramEnded: it doesn't run; with what it said last.
        """
        if not self.running:
            tail = self._log.read_text(errors="replace").splitlines()[-15:]
            raise ProgramEnded("\n".join([f"{self.name} has ended. It said last:", *tail]))

    def kill(self) -> None:
        """End it and all that it started, at once and without a warning. Returns when nothing of it runs any more."""
        if self._process is None:
            return
        # The first process of a PID namespace ends when all others have; `unshare` waits for it.
        first = _children(self._process.pid) if self.running else []
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        if not first:
            self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, not to what surrounds it."""
        for pid in _children(self._required().pid):
            os.kill(pid, number)

    def _required(self) -> subprocess.Popen[bytes]:
        self.check()
        assert self._process is not None
        return self._process


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
