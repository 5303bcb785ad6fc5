"""Sends jobs to one system, in that system's environment: a process of its own, as an application would be.

python produce.py SYSTEM fill KIND SINGLE BULK   one by one, then many at a time; prints the seconds that each took
python produce.py SYSTEM pace RATE COUNT         `stamp` jobs at a steady rate (a second)
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

#: Bytes of a job's payload.
SIZE = 160


def payloads(start: int, count: int) -> list[str]:
    """Payloads that begin with a number, which only `crash` jobs read."""
    return [f"{number:08d} ".ljust(SIZE, "x") for number in range(start, start + count)]


def fill(system: Any, call: Callable[..., Any], kind: str, single: int, bulk: int) -> dict[str, float | None]:
    """The first job, with which connections are made, is sent before the clock starts."""
    call(system.send, kind, *payloads(0, 1))
    rest = payloads(1, single - 1)
    begun = time.perf_counter()
    call(each, system.send, kind, rest)
    single_took = time.perf_counter() - begun
    if not bulk:
        return {"single": single_took, "bulk": None}
    many = payloads(single, bulk)
    begun = time.perf_counter()
    call(system.send_many, kind, many)
    return {"single": single_took, "bulk": time.perf_counter() - begun}


def each(send: Callable[[str, str], Any], kind: str, jobs: list[str]) -> Awaitable[None] | None:
    """Send one after the other; inside one event loop where the system is asynchronous."""
    if inspect.iscoroutinefunction(send):

        async def all_of_them() -> None:
            for job in jobs:
                await send(kind, job)

        return all_of_them()
    for job in jobs:
        send(kind, job)
    return None


def pace(system: Any, call: Callable[..., Any], rate: float, count: int) -> None:
    """The clock of a job starts before it is sent, at a time that is due by the rate, not by how long sending takes."""
    due = time.perf_counter()
    for _ in range(count):
        due += 1 / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        call(system.send, "stamp", f"{time.time_ns()} ".ljust(SIZE, "x"))


async def at_once(send: Callable[[str, str], Awaitable[Any]], kind: str, jobs: list[str], width: int) -> None:
    """Bulk for systems without it: `width` sends in flight at a time."""
    waiting = iter(jobs)

    async def lane() -> None:
        for job in waiting:
            await send(kind, job)

    await asyncio.gather(*(lane() for _ in itertools.repeat(None, width)))


def main() -> None:
    name, mode, *arguments = sys.argv[1:]
    system = importlib.import_module(f"systems.{name}")
    with asyncio.Runner() as runner:

        def call(function: Callable[..., Any], *args: Any) -> Any:
            result = function(*args)
            return runner.run(result) if inspect.iscoroutine(result) else result

        if mode == "fill":
            kind, single, bulk = arguments
            print(json.dumps(fill(system, call, kind, int(single), int(bulk))))
        else:
            rate, count = arguments
            pace(system, call, float(rate), int(count))
        if hasattr(system, "close"):
            call(system.close)


if __name__ == "__main__":
    main()
