"""The Typer application that all commands register with: `@app.command()` in a module of this package."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

app = typer.Typer(
    name="jobyard",
    help="Background jobs on Redis, for Python on Kubernetes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jobyard {version('jobyard')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version, and end.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Background jobs on Redis, for Python on Kubernetes."""
