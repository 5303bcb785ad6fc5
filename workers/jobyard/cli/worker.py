"""`jobyard worker MODULE…`: run jobs. It is the verb that is meant where none is given: `jobyard worker list` is another."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final, Literal

import typer
from typer.core import TyperGroup

from jobyard.cli.app import app

_RUN: Final = "run"

_HELP = """
Run the jobs of an application: start processes that import its MODULEs, and keep them alive.

\b
  jobyard worker app.jobs                                 all queues, a process for each processor
  jobyard worker app.jobs --queues emails,images          these queues only
  jobyard worker app.jobs --processes 4 --threads 1       many short jobs that compute
  jobyard worker app.jobs app.reports --path src          modules in ./src
  jobyard worker app.main:broker                          the broker is app.main's `broker`
  jobyard worker list                                     the worker processes that are there

A MODULE that sets no broker with dramatiq.set_broker uses Redis at JOBYARD_REDIS_URL. Each option can be given in the
environment as well, as shown.

\b
Signals
  TERM, INT   stop: fetch no more, give back what has not started, finish what runs within --grace, give back the rest
              (the attempt doesn't count). A second one: give it back at once.
  HUP         load the code afresh: each process is replaced when its successor is ready.
  USR1        write to the log what each thread is doing.

\b
Exit status
  0   stopped when told so, all jobs finished or given back
  1   stopped when told so, but a process crashed meanwhile or had to be killed (its jobs run again)
  2   can't start: something on the command line, in the environment or in the modules is wrong
  3   can't start: Redis refuses us, or has settings under which jobs would get lost
  4   its processes died one after another, see --max-crashes

\b
Probes and metrics, at http://127.0.0.1:9191 (inside Kubernetes: on all addresses)
  /livez      fails while a process is stuck or has lost a thread; such a process is replaced as well
  /readyz     fails until all processes serve, while Redis is away, and while stopping
  /metrics    for Prometheus
"""


class _RunUnlessSaid(TyperGroup):
    """`jobyard worker app.jobs` is `jobyard worker run app.jobs`. A module called `list` can be run with `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Where Tab is pressed, nothing after `worker` may become a verb as well.
        if not (args and args[0] in self.commands) and not (ctx.resilient_parsing and not args):
            args = [_RUN, *args]
        return super().parse_args(ctx, args)


worker = typer.Typer(cls=_RunUnlessSaid, help="Run the jobs of an application; `worker list`: those that run.")
app.add_typer(worker, name="worker")


@worker.command(_RUN, help=_HELP)
def run(
    modules: Annotated[
        list[str], typer.Argument(metavar="MODULE", help="package.module or package.module:broker", show_default=False)
    ],
    queues: Annotated[
        list[str] | None,
        typer.Option(
            "--queues", "-Q", envvar="JOBYARD_QUEUES", metavar="NAME[,NAME…]", show_default="all that the modules declare",
            help="Queues to serve, separated by commas.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes", "-p", envvar="JOBYARD_PROCESSES", metavar="N", show_default="one for each processor",
            help="Processes. Processors are those of the container's CPU limit (rounded), not of the machine.",
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            "--threads", "-t", envvar="JOBYARD_THREADS", metavar="N",
            help="Threads in each process. Several are best for jobs that wait for other systems; 1 is best for short jobs "
            "that compute (they then run in the thread that fetches them), and for code that isn't thread-safe.",
        ),
    ] = 8,
    path: Annotated[
        list[str] | None,
        typer.Option(
            "--path", "-P", metavar="DIRECTORY", show_default="the current one",
            help="Where modules are looked for first. Can be given several times.",
        ),
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", envvar="JOBYARD_GRACE", metavar="SECONDS",
            help="Time that running jobs have to finish when the worker stops. Keep it 5 s below Kubernetes' "
            "terminationGracePeriodSeconds.",
        ),
    ] = 25.0,
    max_jobs: Annotated[
        int | None,
        typer.Option(
            "--max-jobs", envvar="JOBYARD_MAX_JOBS", metavar="N", show_default="never",
            help="Replace a process after about so many jobs (up to a tenth fewer, so that not all are replaced together).",
        ),
    ] = None,
    max_crashes: Annotated[
        int | None,
        typer.Option(
            "--max-crashes", envvar="JOBYARD_MAX_CRASHES", metavar="N", show_default="try for ever",
            help="End when so many processes have crashed, or could not load the modules, one after another and before any "
            "job had ended: whoever started the worker then sees that this code is of no use. JobQueues have 3.",
        ),
    ] = None,
    max_memory: Annotated[
        int | None,
        typer.Option(
            "--max-memory", envvar="JOBYARD_MAX_MEMORY", metavar="MIB", show_default="never",
            help="Replace a process that holds more than so many MiB (up to a tenth less). Its successor starts while it "
            "finishes what it runs.",
        ),
    ] = None,
    probe_port: Annotated[
        int | None,
        typer.Option(
            "--probe-port", envvar="JOBYARD_PROBE_PORT", metavar="PORT", show_default="9191, if it is free",
            help="Port of the probes and metrics; 0: none.",
        ),
    ] = None,
    probe_host: Annotated[
        str | None,
        typer.Option(
            "--probe-host", envvar="JOBYARD_PROBE_HOST", metavar="ADDRESS",
            show_default="all inside Kubernetes, otherwise 127.0.0.1",
            help="Address that they listen on; * for all.",
        ),
    ] = None,
    log_format: Annotated[
        Literal["text", "json"] | None,
        typer.Option(
            "--log-format", envvar="JOBYARD_LOG_FORMAT", show_default="text at a terminal, otherwise json",
            help="Logs go to standard error. What is logged inside a job names the job.",
        ),
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        typer.Option("--log-level", envvar="JOBYARD_LOG_LEVEL", help="The least important that is logged."),
    ] = "info",
) -> None:  # fmt: skip
    # Imported here, so that `jobyard --help` is quick.
    from jobyard.worker import logs
    from jobyard.worker.settings import WorkerSettings, WorkerSettingsError
    from jobyard.worker.statuses import Status
    from jobyard.worker.supervisor import Supervisor

    try:
        settings = WorkerSettings(
            modules=tuple(modules),
            queues=tuple(name for names in queues or () for name in names.replace(",", " ").split()),
            processes=processes,
            threads=threads,
            path=tuple(path or ["."]),
            grace=grace,
            max_jobs=max_jobs,
            max_crashes=max_crashes,
            max_memory=max_memory,
            probe_host=probe_host,
            probe_port=probe_port,
            log_format=log_format or logs.default_format(sys.stderr),
            log_level=log_level,
        )
    except WorkerSettingsError as error:
        typer.echo(f"jobyard worker: {error}", err=True)
        raise typer.Exit(Status.USAGE) from None
    logs.configure(settings.log_format, settings.log_level)
    raise typer.Exit(Supervisor(settings).run())
