"""Jobyard and its peers, in turn, on one machine and the same server: see `run`, which sets everything up and calls this.

bench/peers/run                             everything: RESULTS.md and results.json
bench/peers/run --only dramatiq --rounds 1  some, quickly; nothing is written
bench/peers/run --scale 0.1                 a tenth of the jobs
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import measure
import report
from catalogue import VARIANTS, Variant
from fleet import CACHE, HERE, WorkersDiedError
from server import Server

Figures = dict[str, Any]
#: Crash tests mostly wait, so that several run at a time.
CRASHES_AT_A_TIME = 7
#: The machine is calm while others take less of its processors' time.
CALM = 0.1


def one_round(variant: Variant, folder: Path) -> Figures:
    """Everything but the crash, once."""
    figures: Figures = {}
    if "noop" in variant.measurements:
        figures |= measure.drain(variant, folder, "noop", variant.jobs)
    if "nap" in variant.measurements:
        figures["nap_per_s"] = measure.drain(variant, folder, "nap", variant.naps)["drain_per_s"]
    if "latency" in variant.measurements:
        figures |= measure.latency(variant, folder)
    return figures


def attempt(variant: Variant, what: Any, folder: Path) -> Figures:
    """What fails is a result as well: it is told, and the others go on."""
    begun = time.monotonic()
    try:
        figures: Figures = what(variant, folder)
    except (WorkersDiedError, TimeoutError, subprocess.TimeoutExpired) as error:
        figures = {"failed": f"{type(error).__name__}: {error}"}
    shown = {name: value if isinstance(value, str | None) else round(value, 2) for name, value in figures.items()}
    print(f"[{time.strftime('%H:%M:%S')}] {variant} ({time.monotonic() - begun:.0f} s): {shown}", flush=True)
    return figures


def median(rounds: list[Figures]) -> Figures:
    """Of each figure, over the rounds that have it."""
    names = dict.fromkeys(name for one in rounds for name in one)
    middle: Figures = {}
    for name in names:
        values = [one[name] for one in rounds if one.get(name) is not None]
        if name == "failed":
            middle[name] = values[0]
        elif name == "ran_twice":
            middle[name] = sum(values)
        else:
            middle[name] = statistics.median(values) if values else None
    return middle


def calm(patience: float) -> float:
    """Wait, but not for ever, until others leave the machine to us. Returns which part of it they take then."""
    deadline = time.monotonic() + patience
    while True:
        share = busy(0.5)
        if time.monotonic() > deadline or (share < CALM and (share := busy(1.0)) < CALM):
            return share


def busy(seconds: float) -> float:
    """Which part of the processors' time is used now, while nothing of ours runs."""

    def times() -> list[int]:
        return [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]

    before = times()
    time.sleep(seconds)
    spent = [now - then for now, then in zip(times(), before, strict=True)]
    return 1 - (spent[3] + spent[4]) / sum(spent)  # idle, and waiting for disks


def machine(folder: Path) -> dict[str, Any]:
    """What it ran on."""
    with Server(folder) as server:
        valkey = server.version
    node = shutil.which("node")
    packages = {
        venv: subprocess.run(
            [CACHE / venv / "bin" / "pip", "freeze"], capture_output=True, text=True, check=True
        ).stdout.split()
        for venv in ("common", "arq", "saq")
    }
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "node": subprocess.run([node, "--version"], capture_output=True, text=True).stdout.strip() if node else None,
        "valkey": valkey,
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True
        ).stdout.strip(),
        "packages": packages,
        "bullmq": json.loads((HERE / "package.json").read_text())["dependencies"],
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", action="append", help="a system, or a variant as it is named in the table")
    options.add_argument("--scale", type=float, default=1.0, help="of the numbers of jobs")
    options.add_argument(
        "--calm", type=float, default=0, help="seconds to wait, each time, for others to leave the machine alone"
    )
    options.add_argument("--no-crash", action="store_true")
    options.add_argument("--no-rounds", action="store_true", help="the crash tests alone")
    options.add_argument("--write", action="store_true", help="write RESULTS.md also for a part")
    asked = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that no server and no worker stays behind.

    folder = CACHE / "data"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [
        replace(one, jobs=int(one.jobs * asked.scale), naps=int(one.naps * asked.scale))
        for one in VARIANTS
        if not asked.only or one.system in asked.only or str(one) in asked.only
    ]
    without_node = [
        one for one in chosen if one.interpreter == "node" and not (CACHE / "node_modules" / "bullmq").is_dir()
    ]
    chosen = [one for one in chosen if one not in without_node]

    where = machine(folder)
    busy_before = []
    begun = time.monotonic()
    rounds: dict[str, list[Figures]] = {str(one): [] for one in chosen}
    for _ in range(0 if asked.no_rounds else asked.rounds):
        for variant in chosen:
            busy_before.append(calm(asked.calm))
            rounds[str(variant)].append(attempt(variant, one_round, folder))
    results = {name: median(figures) for name, figures in rounds.items()}
    crashing = [] if asked.no_crash else [one for one in chosen if "crash" in one.measurements]
    with ThreadPoolExecutor(CRASHES_AT_A_TIME) as pool:
        for variant, figures in zip(
            crashing, pool.map(lambda one: attempt(one, measure.crash, folder), crashing), strict=True
        ):
            results[str(variant)] |= figures
    for variant in without_node:
        results[str(variant)] = {"failed": "node is not installed"}

    outcome = {
        "machine": where,
        "busy_before": {"median": statistics.median(busy_before), "most": max(busy_before)} if busy_before else None,
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "rounds": asked.rounds,
        "variants": [
            {"system": one.system, "name": one.name, "promises": one.promises, **results[str(one)]}
            for one in [*chosen, *without_node]
        ],
        "each_round": rounds,
    }
    if asked.write or not (asked.only or asked.no_crash or asked.no_rounds or asked.scale != 1):
        (HERE / "results.json").write_text(json.dumps(outcome, indent=1, ensure_ascii=False) + "\n")
        (HERE / "RESULTS.md").write_text(report.table(outcome))
    else:
        print(report.table(outcome))


if __name__ == "__main__":
    main()
