"""One child as its supervisor sees it: started, talked to, watched, ended, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

import msgspec

from jobyard.broker.delivery import image, pod, worker_name
from jobyard.broker.fingerprint import WORKER_DIED
from jobyard.broker.pods import OOM_KILLED
from jobyard.worker.backoff import Backoff
from jobyard.worker.memory import SharedMemory, create
from jobyard.worker.messages import (
    Assignment,
    Command,
    CompletedJob,
    Drain,
    Ended,
    Failed,
    Inbox,
    Loaded,
    Notice,
    Ready,
    Report,
    Revoke,
    frame,
    read_notice,
)

#: What has been said before a child ended arrives within so many seconds, unless something else holds its socket open.
_LAST_WORDS: Final = 0.5


class Handle(asyncio.Protocol):
    """One child. Used in the event loop only.

    Args:
        assignment: what it shall be.
        backoff: that of the place it takes.
        heard: called when it has said something, with the notice; with None when it won't say anything any more.
        now: what time it is, in seconds of the event loop.
        jobs_limit, memory_limit: jobs, and bytes, after which it should be replaced; None: no limit.

    Attributes:
        loaded: it has loaded the application, and may hold jobs.
        ready: the queues that it serves; None: it doesn't yet.
        leaving: why it shall be replaced; None: it shall not.
        drained_by: when its drain should end; None: it doesn't drain.
        killed: why the supervisor has killed it; None: it has not.
        out_of_memory: the kernel has killed it, since its container had no memory left.
    """

    def __init__(
        self,
        assignment: Assignment,
        backoff: Backoff,
        heard: Callable[[Handle, Notice | None], None],
        now: float,
        *,
        jobs_limit: int | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self.assignment = assignment
        self.backoff = backoff
        self.token = assignment.token
        self.pid = 0
        self.born = self.heard_at = now
        self.loaded = False
        self.ready: list[str] | None = None
        self.report: Report | None = None
        self.failed: Failed | None = None
        self.ended = False
        self.leaving: str | None = None
        self.drained_by: float | None = None
        self.killed: str | None = None
        self.out_of_memory = False
        self._blameless = False
        #: Its wait status, once it is dead.
        self.status: int | None = None
        self._heard = heard
        self._jobs_limit = jobs_limit
        self._memory_limit = memory_limit
        self._inbox = Inbox()
        self._transport: asyncio.Transport | None = None
        self._lost = False
        self._died_at = 0.0
        self._memory_file = create(assignment.threads)
        self._memory = SharedMemory(self._memory_file, assignment.threads)

    async def start(self) -> None:
        """Start the process.

        Raises:
            OSError: the system can't, for now.
        """
        ours, theirs = socket.socketpair()
        descriptors = (theirs.fileno(), self._memory_file)
        modules = self.assignment.modules
        command = [sys.executable, "-P", "-m", "jobyard.worker.child"]
        command += ["--control", str(descriptors[0]), "--memory", str(descriptors[1]), *modules]
        try:
            for descriptor in descriptors:
                os.set_inheritable(descriptor, True)
            self.pid = os.posix_spawn(
                sys.executable,
                command,
                os.environ,
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
                # A group of its own, so that Ctrl-C at a terminal reaches only the supervisor, and so that what a job
                # started can be ended with it.
                setpgroup=0,
                setsigmask=[],
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(self._memory_file)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self, sock=ours)
        self.send(self.assignment)

    # Talking -------------------------------------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Tell it something. Returns at once; if it is gone, nothing happens."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(command))

    def drain(self, seconds: float | None, now: float) -> None:
        """Have it finish what it runs and end; what still runs after `seconds` goes back. None: however long it takes."""
        by = float("inf") if seconds is None else now + seconds
        self.drained_by = by if self.drained_by is None else min(self.drained_by, by)
        self.send(Drain(seconds))

    def show_stacks(self) -> None:
        """Have it write to the log what its threads are doing."""
        # Before it is loaded, the signal would end it.
        if self.loaded and self.status is None:
            os.kill(self.pid, signal.SIGUSR1)

    def kill(self, why: str, *, blameless: bool = False) -> None:
        """End it at once, with all that its jobs have started.

        Args:
            why: for people.
            blameless: its jobs have nothing to do with it, so that no attempt counts.
        """
        if self.killed is None and self.status is None:
            self.killed = why
            self._blameless = blameless
            os.kill(self.pid, signal.SIGKILL)
            self.sweep()

    def sweep(self) -> None:
        """Kill what its jobs have started and not ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exception: Exception | None) -> None:
        self._lost = True
        self._heard(self, None)

    def data_received(self, data: bytes) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        try:
            notices = [read_notice(body) for body in self._inbox.feed(data)]
        except (ValueError, msgspec.DecodeError) as error:
            self.kill(f"said what can't be understood: {error}")
            return
        for notice in notices:
            if isinstance(notice, Report):
                self.report = notice
            elif isinstance(notice, Loaded):
                self.loaded = True
            elif isinstance(notice, Ready):
                self.ready = notice.queues
            elif isinstance(notice, Failed):
                self.failed = notice
            elif isinstance(notice, Ended):
                self.ended = True
            self._heard(self, notice)

    # Watching ------------------------------------------------------------------------------------------------------

    @property
    def stays(self) -> bool:
        """Whether it is alive, and goes on with what it is there for."""
        return self.drained_by is None and self.killed is None and self.status is None and not self.ended

    def silent_for(self, now: float) -> float:
        """Seconds since it said anything."""
        return now - self.heard_at

    def outgrown(self) -> str | None:
        """Which limit it has reached: `jobs` or `memory`; None: none."""
        report = self.report
        if report is not None:
            if self._jobs_limit is not None and sum(count for *_, count in report.outcomes) >= self._jobs_limit:
                return "jobs"
            if self._memory_limit is not None and report.memory >= self._memory_limit:
                return "memory"
        return None

    def died(self, status: int, now: float) -> None:
        """It is dead, with this wait status."""
        self.status = status
        self._died_at = now
        if status != 0:
            self.sweep()

    def gone(self, now: float) -> bool:
        """Whether it is dead and all that it said has been heard."""
        return self.status is not None and (self._lost or now - self._died_at > _LAST_WORDS)

    def close(self) -> None:
        """Let go of what belongs to it."""
        if self._transport is not None:
            self._transport.abort()

    def name(self) -> str:
        """How people know it."""
        return f"{worker_name().rpartition('/')[0]}/{self.pid}"

    def end(self) -> str:
        """How it ended, for people; only after its death."""
        assert self.status is not None
        if self.killed is not None:
            return f"was killed by its supervisor: {self.killed}"
        if self.out_of_memory:
            return "was killed by the kernel: its container had reached its memory limit"
        if os.WIFSIGNALED(self.status):
            return f"was killed by signal {_signal_name(os.WTERMSIG(self.status))}"
        return f"exited with status {os.waitstatus_to_exitcode(self.status)}"

    def was_killed_from_elsewhere(self) -> bool:
        """Whether somebody else has killed it with SIGKILL: a person, or the kernel; only after its death."""
        assert self.status is not None
        return self.killed is None and os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL

    def doing(self) -> str:
        """The jobs that it was running when it died, for people; empty: none."""
        try:
            return ", ".join(self.running())
        except UnicodeDecodeError:
            return "jobs that can't be told any more"

    def running(self) -> list[str]:
        """The ids of the jobs that it runs, or was running when it died.

        Raises:
            UnicodeDecodeError: it has scribbled over its memory before it died.
        """
        return self._memory.running()

    def estate(self) -> Revoke:
        """What becomes of its jobs, when it is dead."""
        assert self.status is not None
        started: list[str] | None = None
        completed: list[CompletedJob] = []
        with contextlib.suppress(UnicodeDecodeError):
            started = [] if self._blameless else self.running()
            completed += (CompletedJob(one.job_id, one.call, one.result) for one in self._memory.completed())
        error = OOM_KILLED if self.out_of_memory else WORKER_DIED
        cause: dict[str, str | int] = {
            "group": error,
            "error": error,
            "message": f"the worker process {self.end()}",
            "worker": self.name(),
            **pod(),
            **image(),
        }
        code = os.waitstatus_to_exitcode(self.status)
        cause["exit_code"] = code if code >= 0 else 128 - code  # as a container's would be
        if code < 0:
            cause["signal"] = -code
        return Revoke(self.token, msgspec.json.encode(cause), started, completed)


def _signal_name(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)
