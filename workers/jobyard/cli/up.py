"""`jobyard up`: everything on one machine, without Kubernetes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobyard.cli.app import app
from jobyard.errors import JobyardError

_HELP = """
Run everything on this machine: Valkey, workers, a mailbox, the dashboard, and sample jobs.

Nothing has to be configured first. Sample jobs of every built-in type run on real input: e-mails, images and reports.

\b
  jobyard up                       built-in job types and samples
  jobyard up shop.jobs             your actors as well
  jobyard up --no-samples          nothing but what you enqueue
  jobyard up --once                end when the samples are done: exit status 0 if all went as intended

\b
Where to look
  http://127.0.0.1:8080            dashboard and REST API
  .jobyard/mail                    every e-mail, caught: nobody gets any; addresses that end in .invalid are refused
  .jobyard/storage                 images and reports
  .jobyard/logs                    logs of the workers and of Valkey
  .jobyard/env                     environment for programs that enqueue jobs: set -a; . .jobyard/env; set +a

\b
Stop with Ctrl-C: running jobs end first, and the same command goes on with what is left. A second Ctrl-C gives running
jobs back to their queues at once; a third one kills them (they run again next time).

\b
Exit status
  0   stopped by Ctrl-C, or done (--once)
  1   something did not go as intended; the message says what
  2   can't start
"""


@app.command(help=_HELP)
def up(
    modules: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODULE]...", help="Modules with actors of your own, as in an import statement: shop.jobs"
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when all jobs are done: exit status 0 if all went as intended.")
    ] = False,
    no_samples: Annotated[bool, typer.Option("--no-samples", help="Enqueue no sample jobs.")] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the dashboard; the next free one if it is taken. Default: 8080."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=256, help="Worker processes. Default: one for each processor.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Jobs that a process runs at the same time. Default: 8.")
    ] = None,
    queues: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Serve these queues only. Default: those of all actors.")
    ] = None,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Where everything is kept, from one run to the next.")
    ] = Path(".jobyard"),
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="With --once: give up after so long.")
    ] = 300.0,
) -> None:
    try:
        from jobyard_operator.local.run import run
        from jobyard_operator.local.yard import Options
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] in ("jobyard", "jobyard_operator"):
            raise  # A fault of ours.
        typer.echo(f"`jobyard up` needs {error.name}, which is not installed: pip install 'jobyard[local]'", err=True)
        raise typer.Exit(2) from None
    options = Options(
        modules=tuple(modules or ()),
        data=data,
        port=port,
        processes=processes,
        threads=threads,
        queues=queues,
        with_samples=not no_samples,
        once=once,
        timeout=timeout,
    )
    try:
        status = run(options)
    except (JobyardError, OSError, ValueError) as error:
        typer.echo(f"jobyard up: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(status)
