"""The measurements. Each has a server and workers of its own, which are gone when it returns its figures."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catalogue import Variant
from fleet import Fleet, wait
from marks import Marks
from server import Server

#: Jobs that are sent one by one; more than these only where there is no other way.
SINGLE = 4_000
#: Jobs of the latency measurements: those that warm up, and for each rate (a second) how many are counted.
WARM = 500
PACES = {200: 500, 2: 8}
CRASH_JOBS = 1_000
#: Seconds after a crash until what is not back counts as missing.
PATIENCE = 90


def drain(variant: Variant, folder: Path, kind: str, jobs: int) -> dict[str, float | None]:
    """Fill a queue, start the workers, let them go all at once, stop the clock at the last job's mark."""
    single = min(SINGLE, max(3, jobs // 2)) if variant.bulk else jobs
    with Marks() as marks, Server(folder) as server, Fleet(variant, server, marks) as fleet:
        fleet.fill(kind, 1, 0)  # The first brings scripts and the like with it, which are not counted.
        empty = server.read()
        took = fleet.fill(kind, single - 1, jobs - single)
        memory = (server.read().memory - empty.memory) / (jobs - 1)
        fleet.start()
        wait(lambda: marks.arrived >= variant.processes, fleet, 30, "workers up")
        # Those of a process's threads that are late may get there as well.
        time.sleep(0.3)
        before = server.read()
        begun = time.time()
        marks.open_gate()
        wait(lambda: marks.done >= jobs, fleet, 90, f"{jobs} jobs done")
        seconds = marks.last_done - begun
        time.sleep(0.2)  # The last acknowledgements, and jobs that run a second time.
        after = server.read()
        return {
            "enqueue_per_s": (single - 2) / _number(took["single"]),
            "enqueue_bulk_per_s": (jobs - single) / took["bulk"] if took["bulk"] else None,
            "bytes_per_job": memory,
            "drain_per_s": jobs / seconds,
            "redis_us_per_job": (after.cpu - before.cpu) / jobs * 1e6,
            "round_trips_per_job": (after.trips - before.trips) / jobs,
            "commands_per_job": (after.commands - before.commands) / jobs,
            "ran_twice": marks.done - jobs,
        }


def latency(variant: Variant, folder: Path) -> dict[str, float | None]:
    """Milliseconds from sending to start, at a steady rate, of workers that are warm."""
    figures: dict[str, float | None] = {}
    with Marks() as marks, Server(folder) as server, Fleet(variant, server, marks) as fleet:
        warm = min(WARM, variant.jobs)
        fleet.fill("noop", warm, 0)
        fleet.start()
        wait(lambda: marks.arrived >= variant.processes, fleet, 30, "workers up")
        marks.open_gate()
        wait(lambda: marks.done >= warm, fleet, 30, "workers warm")
        for rate, count in PACES.items():
            time.sleep(0.5)
            seen = len(marks.stamps())
            fleet.pace(rate, count)
            wait(lambda seen=seen, count=count: len(marks.stamps()) >= seen + count, fleet, 30, "stamps", pause=0.1)
            found = sorted(marks.stamps()[seen:])
            figures[f"latency_{rate}_p50_ms"] = statistics.median(found)
            figures[f"latency_{rate}_p99_ms"] = percentile(found, 99)
    return figures


def crash(variant: Variant, folder: Path) -> dict[str, Any]:
    """Kill all workers in the middle of jobs of 20 ms, start them again at once, and see what comes back when."""
    with Marks() as marks, Server(folder) as server, Fleet(variant, server, marks) as fleet:
        marks.open_gate()
        fleet.fill("crash", CRASH_JOBS, 0)
        fleet.start()
        wait(lambda: _in_the_middle(marks), fleet, 60, "in the middle of the jobs")
        killed = time.time()
        fleet.kill()
        starts, ends = marks.crashes()
        running = starts.keys() - ends.keys()
        fleet.start()
        deadline = time.monotonic() + PATIENCE
        while len(marks.crashes()[1]) < CRASH_JOBS and time.monotonic() < deadline:
            fleet.check()
            time.sleep(0.2)
        time.sleep(2)  # Those that run a second time.
        _, ends = marks.crashes()
        missing = CRASH_JOBS - len(ends)
        return {
            "crash_running": len(running),
            "crash_missing": missing,
            "crash_missing_running": len(running - ends.keys()),
            "crash_twice": sum(len(times) > 1 for times in ends.values()),
            "crash_running_back_s": max(ends[number][0] for number in running) - killed
            if running and running <= ends.keys()
            else None,
            "crash_all_back_s": None if missing else max(times[0] for times in ends.values()) - killed,
        }


def _in_the_middle(marks: Marks) -> bool:
    starts, ends = marks.crashes()
    return len(ends) >= CRASH_JOBS * 0.4 and bool(starts.keys() - ends.keys())


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Of sorted values, by the nearest rank."""
    return ordered[min(len(ordered) - 1, math.ceil(percent / 100 * len(ordered)) - 1)]


def _number(value: float | None) -> float:
    assert value is not None
    return value
