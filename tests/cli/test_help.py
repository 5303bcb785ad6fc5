"""`--help` teaches: each command shows how it is used. And Tab completes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import typer

from jobyard.cli import COMMANDS
from jobyard.cli.app import app

Run = Callable[..., Any]


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, one in getattr(command, "commands", {}).items():
        if not one.hidden:
            yield from _leaves(one, (*path, name))
    if not getattr(command, "commands", None):
        yield path, command


def _commands() -> list[tuple[tuple[str, ...], Any]]:
    for name in COMMANDS:
        import_module(f"jobyard.cli.{name}")
    return list(_leaves(typer.main.get_command(app)))


@pytest.mark.parametrize(
    ("path", "command"), _commands(), ids=lambda one: " ".join(one) if isinstance(one, tuple) else ""
)
def test_each_command_has_an_example_in_its_help(path: tuple[str, ...], command: Any) -> None:
    # `worker` alone means `worker run`.
    said = "jobyard worker app.jobs" if path == ("worker", "run") else f"jobyard {' '.join(path)}"
    assert any(line.strip().startswith(said) for line in command.help.splitlines()), command.help


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("jobyard ", {"job", "queue", "dead", "worker", "top", "import"}),
        ("jobyard job ", {"list", "show", "explain", "logs", "cancel", "retry", "wait"}),
        ("jobyard worker ", {"list"}),
        ("jobyard job list --st", {"--state"}),
        ("jobyard job list --state w", {"waiting"}),
        ("jobyard import ", {"dramatiq", "celery", "rq"}),
    ],
)
def test_tab_completes(typed: str, offered: set[str]) -> None:
    words = typed.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'jobyard'; from jobyard.cli import main; main()"],
        env={
            **os.environ, "_JOBYARD_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert offered <= set(done.stdout.split()), done.stdout + done.stderr
