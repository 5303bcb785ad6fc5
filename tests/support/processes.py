"""Child processes that never outlive the tests, however those end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

#: The kernel kills the child when its parent dies (prctl 1 is PR_SET_PDEATHSIG, signal 9 is SIGKILL). Set by a small step
#: before exec, since `preexec_fn` is unsafe in a process that has threads.
_LEASHED = """
import ctypes, os, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == parent:
    os.execv(sys.argv[2], sys.argv[2:])
"""


def spawn(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program (an absolute path and its arguments) that dies with the thread that started it.

    Call it from the main thread: the kernel watches the thread, not the process.
    """
    head = [sys.executable, "-I", "-S", "-c", _LEASHED, str(os.getpid())]
    return subprocess.Popen([*head, *map(str, command)], **options)


def end(process: subprocess.Popen[bytes], timeout: float = 10.0) -> None:
    """Ask it to end, and kill it if it doesn't."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        close(stream)


def close(stream: IO[bytes] | None) -> None:
    """Close a pipe, if there is one."""
    if stream is not None:
        stream.close()


def free_port(address: str = "127.0.0.1") -> int:
    """A port that the system says is free now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
