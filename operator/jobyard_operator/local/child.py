"""A child process that is kept running: started again when it dies, stopped in order, and gone when this process is."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from jobyard.errors import JobyardError
from jobyard_operator.local.leash import CANT_START

_LEASH: Final = Path(__file__).with_name("leash.py")

#: A child that lived shorter than so many seconds has hardly begun.
_BRIEFLY: Final = 5.0
#: So many deaths of that kind in a row are no accident.
_MOST_BRIEF_LIVES: Final = 5
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_LARGEST_LOG: Final = 10 * 1024 * 1024

_logger: Final = logging.getLogger("jobyard.up")


class ChildError(JobyardError):
    """A child process can't be kept running; the message ends with the last lines of its log."""


class Child:
    """One command, running until `stop()`.

    It gets a process group of its own, so that Ctrl-C in the terminal reaches this process only, which then stops its
    children in the right order.

    Args:
        name: for messages.
        command: program and arguments. No secrets: everybody can read a process's arguments.
        log: the file that its output is added to.
        environment: None: this process's own.
        pass_fds: file descriptors that it keeps.
        death_signal: what it gets when this process dies.
        hopeless: exit statuses after which it is not started again, since it would end in the same way.
        on_event: told in words when it has died and is started again.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        death_signal: signal.Signals = signal.SIGKILL,
        hopeless: frozenset[int] = frozenset(),
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.log = log
        self.restarts = 0
        #: Why it is no longer started again; None: nothing is wrong.
        self.failure: ChildError | None = None
        self._command = command
        self._environment = dict(environment) if environment is not None else None
        self._pass_fds = tuple(pass_fds)
        self._death_signal = death_signal
        self._hopeless = hopeless | {CANT_START}
        self._on_event = on_event
        # Whoever sends a signal holds the lock, so that the child can't be reaped, and its number be another's, meanwhile.
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._started = threading.Event()

    @property
    def pid(self) -> int | None:
        """Its process id; None: it doesn't run now."""
        process = self._process
        return None if process is None else process.pid

    @property
    def running(self) -> bool:
        """Whether it is there, or will be again."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> Self:
        """Start it, and keep it running from now on.

        Raises:
            OSError: the command or the log can't be used.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        self.log.touch()
        self._thread = threading.Thread(target=self._keep, name=f"jobyard-{self.name}", daemon=True)
        self._thread.start()
        self._started.wait()
        return self

    def terminate(self) -> None:
        """Ask it to end. It is not started again. Returns at once."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def stop(self, timeout: float) -> bool:
        """Ask it to end, and wait.

        Args:
            timeout: seconds; then it is killed.

        Returns:
            Whether it ended by itself.
        """
        self.terminate()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        if not self._thread.is_alive():
            return True
        self._signal(signal.SIGKILL)
        self._thread.join()
        return False

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
        return ""

    def _keep(self) -> None:
        # This thread starts the child and waits for it: the kernel's leash is tied to the thread.
        brief, pause = 0, _FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                code = self._run()
            except OSError as error:
                self.failure = ChildError(f"{self.name} can't be started: {error}")
                return
            finally:
                self._started.set()
            if self._stopping.is_set():
                return
            brief = brief + 1 if time.monotonic() - began < _BRIEFLY else 0
            if brief >= _MOST_BRIEF_LIVES or code in self._hopeless:
                times = "" if brief < _MOST_BRIEF_LIVES else f" {brief} times right after its start, the last time"
                self.failure = ChildError(
                    f"{self.name} ended{times} with {_how(code)}; its log is {self.log}:\n{self.last_lines()}"
                )
                return
            self.restarts += 1
            _logger.warning("%s died (%s); started again", self.name, _how(code))
            self._tell(f"{self.name} died ({_how(code)}); started again")
            pause = _FIRST_PAUSE if brief == 0 else min(_LONGEST_PAUSE, pause * 2)
            self._stopping.wait(pause)

    def _run(self) -> int:
        """One life of the child. Returns its exit status, negative: the signal that it died of."""
        leash = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), str(int(self._death_signal))]
        with self.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 (the command is the caller's own, and no shell reads it)
                [*leash, *self._command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self._pass_fds,
            )
        self._process = process
        self._started.set()
        if self._stopping.is_set():
            # It was asked to end between two lives.
            self._signal(signal.SIGTERM)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._process = None
            # Its own children must not outlive it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    def _tell(self, text: str) -> None:
        try:
            self._on_event(text)
        except Exception:
            # Whatever is wrong with who listens (a terminal that is gone, say): this thread keeps the child alive.
            _logger.exception("nobody could be told: %s", text)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if self._process is not None:
                os.kill(self._process.pid, number)


def _how(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
