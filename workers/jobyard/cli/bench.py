"""`jobyard bench`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from jobyard.bench.run import Report, run
from jobyard.cli.app import app
from jobyard.errors import JobyardError

_MEANING = {
    "enqueue_per_s": "jobs a second from one thread, one by one",
    "enqueue_bulk_per_s": "jobs a second from one thread, a thousand in a call",
    "drain_per_s": "jobs a second that do nothing, through all workers",
    "latency_p50_ms": "from enqueue to start, at 200 jobs a second: half are faster",
    "latency_p99_ms": "… and 99 of 100 are faster",
    "idle_latency_p50_ms": "the same at 2 jobs a second: workers that sleep in between",
    "round_trips_per_job": "calls to Redis for fetching and finishing",
    "redis_us_per_job": "microseconds of Redis's processor for fetching and finishing",
    "bytes_per_job": "of memory for a queued job with a payload of 160 bytes",
    "lost": "must be 0",
}


@app.command()
def bench(
    jobs: Annotated[int, typer.Option(min=100, max=10_000_000, help="How many jobs to drain.")] = 50_000,
    processes: Annotated[int, typer.Option(min=1, max=256, help="Worker processes.")] = 2,
    threads: Annotated[int, typer.Option(min=1, max=1000, help="Threads in each of them.")] = 1,
    redis: Annotated[
        bool,
        typer.Option("--redis", help="Measure the Redis that JOBYARD_REDIS_URL names, instead of an embedded Valkey."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one flat JSON object and nothing else.")] = False,
) -> None:
    """Measure how fast jobs go through this machine.

    \b
      jobyard bench
      jobyard bench --redis --jobs 200000
      jobyard bench --json

    Real worker processes with all guarantees on (leases, attempts, results, ledger, metrics, the default middleware), and a
    Valkey with an append-only file (everysec). Takes about twenty seconds.

    On a Redis of yours it uses a namespace of its own, and removes it afterwards.
    """
    console = Console(stderr=True, quiet=as_json)
    try:
        with _redis_url(redis) as url:
            report = run(url, jobs, processes, threads, lambda text: console.print(text, style="dim"))
    except JobyardError as error:
        typer.echo(f"jobyard bench: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(report.rounded()))
    else:
        _show(report)


@contextmanager
def _redis_url(theirs: bool) -> Iterator[str]:
    if theirs:
        from jobyard.settings import BrokerSettings

        yield BrokerSettings().redis_url.get_secret_value()
        return
    from jobyard_operator.local.directory import Directory
    from jobyard_operator.local.valkey import Valkey

    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as path, Directory(Path(path)) as directory:
        valkey = Valkey(directory, fsync="everysec").start()
        try:
            yield valkey.url
        finally:
            valkey.stop()


def _show(report: Report) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for name, value in report.rounded().items():
        if name in _MEANING:
            table.add_row(name, f"{value:,}", _MEANING[name])
    Console().print(table)
