"""Asking before something is done that can't be undone."""

from __future__ import annotations

import sys

import typer

from jobyard.cli.connection import fail
from jobyard.cli.statuses import Status


def ask(question: str) -> None:
    """Go on only if the person at the terminal says yes. Without a terminal the command ends: `--yes` answers in scripts."""
    if not sys.stdin.isatty():
        fail("this would ask first, and there is no terminal to ask: give --yes, or see --dry-run", Status.USAGE)
    if not typer.confirm(question, err=True):
        raise typer.Exit(Status.NO)
