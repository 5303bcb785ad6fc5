"""`docs/cli.md` tells of every command, and shows only what `tests/docs` runs."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from jobyard.cli import COMMANDS
from jobyard.cli.app import app

_PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
#: Those change the shell of whoever runs them.
_NOT_RUN = ("jobyard --install-completion", "jobyard --show-completion")
#: Have pages of their own.
_ELSEWHERE = ("up", "operator", "worker run", "serve", "bench")


def _paths(command: Any, path: tuple[str, ...] = ()) -> list[str]:
    if not getattr(command, "commands", None):
        return [] if command.hidden else [" ".join(path)]
    return [one for name, below in command.commands.items() if not below.hidden for one in _paths(below, (*path, name))]


def test_every_command_is_told_of() -> None:
    for name in COMMANDS:
        import_module(f"jobyard.cli.{name}")
    text = _PAGE.read_text()
    missing = [
        path
        for path in _paths(typer.main.get_command(app))
        if not path.startswith(_ELSEWHERE) and f"jobyard {path}" not in text
    ]
    assert missing == []


def test_what_is_not_run_is_only_what_can_not_be() -> None:
    for block in re.findall(r"^```sh\n(.*?)^```$", _PAGE.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            assert line.startswith((*_NOT_RUN, "set -a")), line
