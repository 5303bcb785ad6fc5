"""An application whose actors write down that they ran: one line `WHAT ATTEMPT PID` a run, in the file that RECORD names."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from dramatiq.middleware import raise_thread_exception

import jobyard

RECORD = Path(os.environ["RECORD"])
QUEUE = "work"
kept = []


def note(what: str) -> None:
    job = jobyard.current_job()
    attempt = job.attempt if job is not None else 0
    with RECORD.open("a") as file:
        file.write(f"{what} {attempt} {os.getpid()}\n")


@jobyard.actor(queue_name=QUEUE)
def quick(name: str) -> None:
    note(name)


@jobyard.actor(queue_name=QUEUE)
def hold(name: str, seconds: float) -> None:
    """Runs so long, or until a file of this name lies beside the record."""
    note(name)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not RECORD.with_name(name).exists():
        time.sleep(0.01)
    note(f"{name}-end")


@jobyard.actor(queue_name=QUEUE)
def die(name: str) -> None:
    """Kills its process in its first attempt."""
    note(name)
    job = jobyard.current_job()
    if job is not None and job.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)


@jobyard.actor(queue_name=QUEUE)
def devour(name: str) -> None:
    """The first time it needs more memory than there is."""
    note(name)
    job = jobyard.current_job()
    if job is not None and job.attempt == 1:
        Path("/proc/self/oom_score_adj").write_text("1000")
    while job is not None and job.attempt == 1:
        kept.append(os.urandom(1 << 20) * 16)


@jobyard.actor(queue_name=QUEUE, retry=jobyard.RetryPolicy(attempts=3))
def poison(name: str) -> None:
    """Kills its process."""
    note(name)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


@jobyard.actor(queue_name=QUEUE)
def wound(name: str) -> None:
    """A moment after its end its thread meets an exception that nobody expects there."""
    note(name)
    thread = threading.get_ident()

    def strike() -> None:
        raise_thread_exception(thread, GeneratorExit)
        note(f"{name}-struck")

    threading.Timer(0.1, strike).start()


@jobyard.actor(queue_name=QUEUE)
def seize(name: str, seconds: int) -> None:
    """Sleeps in C code that lets no other thread run."""
    note(name)
    ctypes.PyDLL(None).sleep(seconds)


@jobyard.actor(queue_name=QUEUE)
def grow(mib: int) -> None:
    note("grow")
    kept.append(bytearray(os.urandom(1) * mib * 2**20))


@jobyard.actor(queue_name=QUEUE)
def say(text: str) -> None:
    logging.getLogger("app").warning("%s", text, extra={"colour": "blue"})


@jobyard.actor(queue_name=QUEUE)
def leave_orphan() -> None:
    """Starts a program that starts another one and ends: nobody but process 1 will wait for that."""
    script = "import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(0.3)'])"
    subprocess.run([sys.executable, "-S", "-c", script], check=True)
    note("left")


@jobyard.actor(queue_name=QUEUE)
def start_helper(name: str) -> None:
    """Starts a program that it waits for, and notes its process id as the name."""
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"]) as helper:
        note(f"{name}-{helper.pid}")
