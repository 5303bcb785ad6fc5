"""What every system runs: the same few jobs, which tell that they ran by one append to a file in memory.

Imported by the adapters in `systems/`, in the environment of each system, so it uses nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

#: The server of this measurement.
URL = os.environ["BENCH_URL"]
#: A folder in memory (tmpfs); see `marks.py` for what is in it.
FOLDER = Path(os.environ["BENCH_MARKS"])
#: Whether the best settings are wanted; what they are, the adapter says.
TUNED = os.environ.get("BENCH_TUNED") == "1"
#: Seconds that a `nap` and a `crash` job take.
NAP, CRASH = 0.005, 0.020

# A line for each job would be more work than most of these systems do themselves; warnings are still shown.
logging.disable(logging.INFO)

_marks = {
    kind: os.open(FOLDER / kind, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for kind in ("done", "stamp", "crash", "arrived")
}
_gate = FOLDER / "gate"
_open = False


def at_gate() -> None:
    """The first job of each process waits here until the clock starts, so that all workers are up by then.

    An event loop is meant to be held up as well: nothing may be fetched or finished before.
    """
    global _open
    if not _gate.exists():
        os.write(_marks["arrived"], b"%d\n" % os.getpid())
        while not _gate.exists():
            time.sleep(0.001)
    _open = True


def noop(payload: str) -> None:
    """Nothing but the mark."""
    if not _open:
        at_gate()
    os.write(_marks["done"], b".")


def stamp(payload: str) -> None:
    """Tell how long it took from the moment in the payload (ns since the epoch) until now."""
    os.write(_marks["stamp"], b"%d\n" % (time.time_ns() - int(payload.split()[0])))


def nap(payload: str) -> None:
    """Wait, as for another system."""
    if not _open:
        at_gate()
    time.sleep(NAP)
    os.write(_marks["done"], b".")


def crash(payload: str) -> None:
    """Note start and end of a job that has a number."""
    number = int(payload.split()[0])
    os.write(_marks["crash"], b"S %d %d\n" % (number, time.time_ns()))
    time.sleep(CRASH)
    os.write(_marks["crash"], b"E %d %d\n" % (number, time.time_ns()))


async def noop_async(payload: str) -> None:
    noop(payload)


async def stamp_async(payload: str) -> None:
    stamp(payload)


async def nap_async(payload: str) -> None:
    if not _open:
        at_gate()
    await asyncio.sleep(NAP)
    os.write(_marks["done"], b".")


async def crash_async(payload: str) -> None:
    number = int(payload.split()[0])
    os.write(_marks["crash"], b"S %d %d\n" % (number, time.time_ns()))
    await asyncio.sleep(CRASH)
    os.write(_marks["crash"], b"E %d %d\n" % (number, time.time_ns()))


#: For systems that run functions, and for those that run coroutines.
JOBS: dict[str, Callable[[str], None]] = {"noop": noop, "stamp": stamp, "nap": nap, "crash": crash}
ASYNC_JOBS: dict[str, Callable[[str], Awaitable[None]]] = {
    "noop": noop_async,
    "stamp": stamp_async,
    "nap": nap_async,
    "crash": crash_async,
}


def with_context(job: Callable[[str], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """For systems that pass a context first."""

    @functools.wraps(job)
    async def run(context: Any, payload: str) -> None:
        await job(payload)

    return run
