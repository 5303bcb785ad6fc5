"""`jobyard operator`: the control plane on Kubernetes."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Annotated

import typer
from pydantic import ValidationError

from jobyard.cli.app import app
from jobyard.worker.logs import LEVELS, configure, default_format

_HELP = """
Run the operator: it looks after JobQueues in Kubernetes, their workers and how many of them there are.

It is installed with Helm or `kubectl apply -k`, and needs the rights that come with them. Several may run: one of them leads,
the others take over within seconds. Outside a cluster it uses the kubeconfig, as kubectl does.

\b
  jobyard operator                          the whole cluster
  jobyard operator --namespace shop         JobQueues of one namespace
  JOBYARD_OPERATOR_NAMESPACES=a,b           the same by the environment

\b
Where to look
  kubectl get jobqueues                     replicas, what waits, and why there are so many
  kubectl describe jobqueue NAME            conditions and events
  :8080/metrics                             for Prometheus

\b
Exit status
  0   stopped by SIGTERM or SIGINT
  1   it ended by a fault
  2   can't start; the message says why
"""


@app.command(name="operator", help=_HELP)
def operator(
    namespace: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Look after this namespace only; may be given several times."),
    ] = None,
    lease_namespace: Annotated[
        str | None, typer.Option(help="Namespace of the Lease by which operators elect their leader.")
    ] = None,
    lease_name: Annotated[str | None, typer.Option(help="Its name. Default: jobyard-operator.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of /livez, /readyz and /metrics. Default: 8080.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error; debug logs every decision.")
    ] = None,
) -> None:
    try:
        from jobyard_operator.run import CannotStart, Operator
        from jobyard_operator.settings import Settings
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] in ("jobyard", "jobyard_operator"):
            raise  # A fault of ours.
        typer.echo(
            f"`jobyard operator` needs {error.name}, which is not installed: pip install 'jobyard[operator]'", err=True
        )
        raise typer.Exit(2) from None
    given = {
        "namespaces": tuple(namespace) if namespace else None,
        "lease_namespace": lease_namespace,
        "lease_name": lease_name,
        "port": port,
    }
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"])
            typer.echo(f"jobyard operator: {where}: {problem['msg']}", err=True)
        raise typer.Exit(2) from None
    level = (log_level or os.environ.get("JOBYARD_OPERATOR_LOG_LEVEL", "info")).lower()
    if level not in LEVELS:
        typer.echo(f"jobyard operator: {level!r} is no log level: {', '.join(LEVELS)}", err=True)
        raise typer.Exit(2)
    log_format = os.environ.get("JOBYARD_LOG_FORMAT", default_format(sys.stderr))
    configure("json" if log_format == "json" else "text", level)
    try:
        asyncio.run(_run(Operator, settings))
    except CannotStart as error:
        typer.echo(f"jobyard operator: {error}", err=True)
        raise typer.Exit(2) from None
    except Exception:
        logging.getLogger("jobyard.operator").exception("The operator ends by a fault.")
        raise typer.Exit(1) from None


async def _run(kind: type, settings: object) -> None:
    await kind(settings).run()
