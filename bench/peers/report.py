"""RESULTS.md out of results.json. Run by itself, it writes the one from the other again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import CRASH_JOBS, PATIENCE

HERE = Path(__file__).parent
Row = dict[str, Any]
SYSTEMS = ("dramatiq", "celery", "rq", "arq", "saq", "taskiq", "taskiq-redis", "huey")

#: What is compared in short: title, figure, whether more is better.
COMPARED = (
    ("no-op jobs run, a second", "drain_per_s", True),
    ("jobs of 5 ms run, a second", "nap_per_s", True),
    ("enqueued one by one, a second", "enqueue_per_s", True),
    ("enqueued many at a time, a second", "enqueue_bulk_per_s", True),
    ("start after, p50 at 200 jobs a second, ms", "latency_200_p50_ms", False),
    ("start after, p99 at 200 jobs a second, ms", "latency_200_p99_ms", False),
    ("start after, p50 at 2 jobs a second, ms", "latency_2_p50_ms", False),
    ("round trips to Redis a job", "round_trips_per_job", False),
    ("Redis's CPU a job, µs", "redis_us_per_job", False),
    ("memory of a queued job, bytes", "bytes_per_job", False),
)


def table(outcome: dict[str, Any]) -> str:
    """The whole file."""
    rows: list[Row] = outcome["variants"]
    parts = [
        _head(outcome),
        _short(rows),
        _speed(rows),
        _crashes(rows),
        _promises(rows),
        _failures(rows),
        _versions(outcome),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def number(value: float | None) -> str:
    """Three figures are more than such a measurement gives."""
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def grid(titles: str, rows: list[list[str]], numbers: int) -> str:
    """A Markdown table whose last `numbers` columns are to the right."""
    names = titles.split(" | ")
    line = ["---"] * (len(names) - numbers) + ["--:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, line, *rows))


def _head(outcome: dict[str, Any]) -> str:
    machine = outcome["machine"]
    node = f", Node {machine['node']}" if machine["node"] else ""
    others = outcome["busy_before"]
    elsewhere = (
        f" What else ran took {others['median']:.0%} of the machine (at most {others['most']:.0%})." if others else ""
    )
    return (
        "# Jobyard and its peers: results\n\n"
        f"Written by `bench/peers/run` on {machine['date']}, commit {machine['commit']}; what is measured how stands in "
        "[../README.md](../README.md).\n\n"
        f"{machine['cores']} cores, {machine['system']}, Python {machine['python']}{node}, Valkey {machine['valkey']} on "
        f"loopback, append-only file on disk (everysec), a fresh one for each measurement. Medians of {outcome['rounds']} "
        f"rounds over all systems; {outcome['minutes']:.0f} minutes in all. Worker processes, Valkey and producer share the "
        f"cores.{elsewhere} Differences below a quarter mean nothing."
    )


def _short(rows: list[Row]) -> str:
    ours = [row for row in rows if row["system"] == "jobyard"]
    peers = [row for row in rows if row["system"] != "jobyard"]
    stock = [row for row in peers if row["system"] == "dramatiq"]
    if not ours or not peers:
        return ""
    lines = []
    for title, name, more in COMPARED:
        best, dramatiq, peer = (_best(some, name, more) for some in (ours, stock, peers))
        cells = [title, *(number(one[name]) if one else "–" for one in (best, dramatiq, peer))]
        cells.append(f"{peer['system']}, {peer['name']}" if peer else "–")
        cells += [_ratio(best, one, name, more) for one in (dramatiq, peer)]
        lines.append(cells)
    titles = "the best setting of each | Jobyard | Dramatiq | best peer | which | × Dramatiq | × best peer"
    return (
        "## In short\n\n"
        + grid(titles, lines, 2)
        + "\n\n× says how many times better Jobyard is, below 1 how much worse. For each line, each system's best setting is "
        "taken, so that one system may be there with several. Fewer promises are cheaper: Huey forgets a job before it "
        "runs, by default Celery does as well; what the others promise stands below."
    )


def _best(rows: list[Row], name: str, more: bool) -> Row | None:
    there = [row for row in rows if row.get(name) is not None]
    choose: Callable[..., Row] = max if more else min
    return choose(there, key=lambda row: row[name]) if there else None


def _ratio(ours: Row | None, theirs: Row | None, name: str, more: bool) -> str:
    if ours is None or theirs is None:
        return "–"
    above, below = (ours, theirs) if more else (theirs, ours)
    return f"{above[name] / below[name]:.1f}" if below[name] else "–"


def _speed(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        pairs = [
            f"{number(row.get(f'latency_{rate}_p50_ms'))} / {number(row.get(f'latency_{rate}_p99_ms'))}"
            for rate in (200,)
            if row.get(f"latency_{rate}_p50_ms") is not None
        ]
        figures = ("drain_per_s", "nap_per_s", "enqueue_per_s", "enqueue_bulk_per_s")
        costs = ("round_trips_per_job", "commands_per_job", "redis_us_per_job")
        cpu = row.get("redis_us_per_job")
        lines.append(
            [row["system"], row["name"]]
            + [number(row.get(name)) for name in figures]
            + [pairs[0] if pairs else "–", number(row.get("latency_2_p50_ms"))]
            + [number(row.get(name)) for name in costs]
            + [number(1e6 / cpu if cpu else None), number(row.get("bytes_per_job"))]
        )
    titles = (
        "system | setting | no-op jobs/s | 5 ms jobs/s | enqueue/s | bulk/s | ms at 200/s, p50 / p99 | ms at 2/s, p50 "
        "| trips/job | commands/job | Redis µs/job | one Redis's end, jobs/s | bytes/job"
    )
    twice = [f"{row['system']} ({row['name']}): {row['ran_twice']}" for row in rows if row.get("ran_twice")]
    note = f"\n\nJobs that ran twice although nobody was killed: {'; '.join(twice)}." if twice else ""
    return "## Speed and cost\n\n" + grid(titles, lines, 11) + note


def _crashes(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        if "crash_missing" not in row:
            continue
        late = f"> {PATIENCE}"
        back = number(row["crash_running_back_s"]) if not row["crash_missing_running"] else late
        everything = number(row["crash_all_back_s"]) if not row["crash_missing"] else late
        names = ("crash_running", "crash_missing_running", "crash_missing", "crash_twice")
        lines.append([row["system"], row["name"], *(str(row[name]) for name in names), back, everything])
    if not lines:
        return ""
    titles = (
        "system | setting | running when killed | of these not back | not back in all | ended twice | running ones back "
        "after s | all done after s"
    )
    return (
        "## After a crash\n\n"
        f"{CRASH_JOBS:,} jobs of 20 ms; all worker processes killed (SIGKILL) when 400 are done, and started again at once. "
        f"What is not back after {PATIENCE} s is counted as such; some of it comes later, some never (see the promises below). "
        "One run of each.\n\n" + grid(titles, lines, 6)
    )


def _promises(rows: list[Row]) -> str:
    settings: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        settings.setdefault((row["system"], row["promises"]), []).append(row["name"])
    lines = [[system, "; ".join(names), promises] for (system, promises), names in settings.items()]
    return "## What each promised meanwhile\n\n" + grid("system | settings | promises", lines, 0)


def _failures(rows: list[Row]) -> str:
    failed = [
        f"- {row['system']}, {row['name']}: `{row['failed'].splitlines()[-1]}`" for row in rows if row.get("failed")
    ]
    return "## What did not work\n\n" + "\n".join(failed) if failed else ""


def _versions(outcome: dict[str, Any]) -> str:
    """redis-py is named once for each environment, since arq and SAQ need an older one."""
    lines = []
    for packages in outcome["machine"]["packages"].values():
        there = dict(one.split("==") for one in packages)
        systems = [f"{name} {there[name]}" for name in SYSTEMS if name in there]
        lines.append(f"{', '.join(systems)} (redis-py {there['redis']}, hiredis {there['hiredis']})")
    lines.append(", ".join(f"{name} {version}" for name, version in outcome["machine"]["bullmq"].items()))
    return "Versions: " + "; ".join(lines) + "."


if __name__ == "__main__":
    (HERE / "RESULTS.md").write_text(table(json.loads((HERE / "results.json").read_text())))
