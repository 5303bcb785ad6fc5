"""The Typer application that all commands register with: `@app.command()` in a module of this package."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="jobyard",
    help="Background jobs on Redis, for Python on Kubernetes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root() -> None:
    """Background jobs on Redis, for Python on Kubernetes."""
