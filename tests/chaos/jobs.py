"""The application under fire: each run writes down that it started and that it ended, before anything can be lost.

Imported by real worker processes. Settings come by environment: CHAOS_RECORD (the file), CHAOS_SKEW (seconds by which this
process's clock is wrong).
"""

from __future__ import annotations

import os
import signal
import time

import jobyard

QUEUE = "chaos"
CALLS = "chaos-calls"

_skew = float(os.environ.get("CHAOS_SKEW", "0"))
if _skew:
    _real = time.time
    time.time = lambda: _real() + _skew
    _real_ns = time.time_ns
    time.time_ns = lambda: _real_ns() + int(_skew * 1e9)

_record = os.open(os.environ["CHAOS_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(what: str, number: int) -> None:
    """One line, in one write: what, job, process, nanoseconds of the machine's monotonic clock."""
    os.write(_record, b"%b %d %d %d\n" % (what.encode(), number, os.getpid(), time.monotonic_ns()))


@jobyard.actor(queue_name=QUEUE, retry=jobyard.RetryPolicy(attempts=50, initial=0.05, factor=1))
def work(number: int, milliseconds: float) -> None:
    """Takes its time, and ends."""
    note("start", number)
    if milliseconds:
        time.sleep(milliseconds / 1000)
    note("end", number)


@jobyard.actor(queue_name=QUEUE, retry=jobyard.RetryPolicy(attempts=50, initial=0.05, factor=1))
def stumble(number: int) -> str:
    """Fails once, then ends with a result."""
    note("start", number)
    if jobyard.current_job().attempt == 1:
        raise ValueError("first time")
    note("end", number)
    return f"result of {number}"


@jobyard.actor(queue_name=CALLS, retry=jobyard.RetryPolicy(attempts=50, initial=0.05, factor=1))
def callback(number: int) -> None:
    """A batch calls."""
    note("start", number)
    batch = jobyard.current_batch()
    assert batch is not None
    assert batch.status().ended
    note("end", number)


@jobyard.actor(queue_name=QUEUE, retry=jobyard.RetryPolicy(attempts=3, initial=0.05, factor=1))
def suicide(number: int) -> None:
    """Kills its worker, every time."""
    note("start", number)
    os.kill(os.getpid(), signal.SIGKILL)
