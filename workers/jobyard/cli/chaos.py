"""`jobyard chaos`: kill workers, and count whether a job gets lost."""

from __future__ import annotations

from typing import Annotated

import typer

from jobyard.cli.app import app
from jobyard.cli.connection import connected, fail, say
from jobyard.cli.output import Format, Output, show_facts, show_value
from jobyard.cli.statuses import Status

_HELP = """
Kill workers at random, and count whether a job gets lost: on your Redis, with your settings.

\b
  jobyard chaos
  jobyard chaos --jobs 5000 --seconds 120 --workers 3
  jobyard chaos -o json

It sends jobs that only sleep into a queue of its own, jobyard-chaos, and starts worker processes of its own on this machine. Some
are killed (kill -9) one by one, some whole, as if a machine went away; then it is the leases that bring the jobs back, after
15 s. In the end every job must have completed, and the ledger must add up. No other queue and no other process is touched, and
nothing stays behind, unless something is wrong.

\b
Exit status
  0   nothing was lost
  1   something was: the queue is kept, for looking at it
  2   something on the command line or in the environment is wrong
  3   Redis can't be reached, or refuses us
  5   nothing was lost, but not all jobs had ended in time
"""


@app.command(help=_HELP)
def chaos(
    jobs: Annotated[int, typer.Option("--jobs", "-n", min=1, max=1_000_000, help="How many jobs.")] = 1000,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, max=86_400, metavar="SECONDS", help="For how long workers are killed.")
    ] = 30.0,
    every: Annotated[
        float, typer.Option("--every", min=0.1, metavar="SECONDS", help="From one kill to the next, on the average.")
    ] = 1.5,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Workers.")] = 2,
    processes: Annotated[int, typer.Option("--processes", "-p", min=1, max=64, help="Processes of each.")] = 2,
    threads: Annotated[int, typer.Option("--threads", "-t", min=1, max=256, help="Threads of each process.")] = 4,
    patience: Annotated[
        float, typer.Option("--patience", min=1, metavar="SECONDS", help="How long all may take to end afterwards.")
    ] = 120.0,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Makes what is killed when repeatable, as far as it can be.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the queue behind in any case.")] = False,
    output: Output = Format.TABLE,
) -> None:
    # Imported here, so that `jobyard --help` is quick.
    from jobyard.chaos.run import Chaos
    from jobyard.settings import BrokerSettings

    with connected() as broker:
        url = BrokerSettings().redis_url.get_secret_value()
        report = Chaos(
            broker, url, jobs=jobs, seconds=seconds, every=every, workers=workers, processes=processes, threads=threads,
            patience=patience, seed=seed, say=say,
        ).run(keep=keep)  # fmt: skip
    values = report.values()
    if output is not Format.TABLE:
        show_value(values, output)
    else:
        times = values["recovery_seconds"]
        show_facts(
            [
                ("Jobs", report.jobs),
                ("Killed", f"{report.killed_processes} processes, {report.killed_workers} whole workers"),
                ("Lost", len(report.lost)),
                ("Not ended in time", len(report.unfinished)),
                ("Completed without an end", len(report.unrun)),
                ("Ledger", f"{report.ledger_lost} lost, {report.ledger_orphaned} orphaned"),
                ("Calls made again", report.resent),
                ("Runs that were cut off", report.runs.interrupted),
                ("Jobs started again", report.runs.repeated),
                ("Jobs that ended twice", report.runs.twice),
                ("Until they ran again", f"{times['median']} s, at most {times['longest']} s" if times["median"] else None),
                ("Took", f"{report.seconds:.1f} s"),
            ]
        )  # fmt: skip
    if not report.sound:
        fail("jobs were lost, or the ledger does not add up: see jobyard audit", Status.NO)
    if report.unfinished:
        fail(
            f"{len(report.unfinished)} jobs have not ended in time: see jobyard queue stats jobyard-chaos",
            Status.TIMEOUT,
        )
