"""How many processors this container may use: the cgroup's limit, not the node's size.

`os.cpu_count()` tells what the machine has. A container with `limits.cpu: 2` on a node of 64 would start 64 processes and be
throttled all the time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jobyard.worker.cgroup import UNIFIED, folders, own_path, read

_ROOT: Final = Path("/")


def processes_for(root: Path = _ROOT) -> int:
    """How many worker processes use the processors well: the limit, rounded to the nearest number (1.5: 2), at least 1.

    Args:
        root: where `proc` and `sys` are mounted.
    """
    limit = cpu_limit(root)
    usable = usable_processors()
    return usable if limit is None else max(1, min(usable, int(limit + 0.5)))


def usable_processors() -> int:
    """Processors that this process may be scheduled on (cpusets, taskset)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def cpu_limit(root: Path = _ROOT) -> float | None:
    """The cgroup's limit in processors, the strictest of it and its parents; None: there is no limit, or no cgroups."""
    limits = [*_limits_v2(root), *_limits_v1(root)]
    return min(limits, default=None)


def _limits_v2(root: Path) -> Iterator[float]:
    """`cpu.max` holds "QUOTA PERIOD" in microseconds, or "max PERIOD"."""
    for mount in UNIFIED:
        for folder in folders(root / mount, own_path(root, "")):
            quota, _, period = read(folder / "cpu.max").partition(" ")
            yield from _limit(quota, period)


def _limits_v1(root: Path) -> Iterator[float]:
    """`cpu.cfs_quota_us` is -1 where there is no limit."""
    for name in ("cpu", "cpu,cpuacct", "cpuacct,cpu"):
        for folder in folders(root / "sys/fs/cgroup" / name, own_path(root, "cpu")):
            yield from _limit(read(folder / "cpu.cfs_quota_us"), read(folder / "cpu.cfs_period_us"))


def _limit(quota: str, period: str) -> Iterator[float]:
    with contextlib.suppress(ValueError):  # "max", or no such file
        microseconds, of = int(quota), int(period)
        if microseconds > 0 and of > 0:
            yield microseconds / of
