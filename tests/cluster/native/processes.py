"""Programs that run as long as the cluster does, and end with whoever started them, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jobyard_operator.local import leash

_NAMESPACES: Final = os.geteuid() == 0


class ProgramEnded(RuntimeError):
    """A program of the cluster has ended that should run."""


class Program:
    """One program. Its output goes to a file, whose last lines are shown if it ends by itself.

    Run by root, each has a PID namespace of its own, so that killing it takes along all that it started.

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
            *(["unshare", "--pid", "--fork", "--kill-child=SIGKILL", *self._options, "--"] if _NAMESPACES else []),
            *self._command,
        ]  # fmt: skip
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C is for us, and we end it.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=held,
                start_new_session=True,
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
        if self.running:
            # The first process of a PID namespace ends when all others have; `unshare` waits for it.
            for pid in self._first() or [self._process.pid]:
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, not to what surrounds it."""
        self.check()
        for pid in self._first():
            os.kill(pid, number)

    def freeze(self) -> None:
        """Stop it in its tracks."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    def _first(self) -> list[int]:
        """The program's own process."""
        assert self._process is not None
        pid = self._process.pid
        if not _NAMESPACES:
            return [pid]
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
