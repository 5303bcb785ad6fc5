"""helm and kubectl, fetched where they are missing: they need no cluster, no root and no Docker."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Final

_BUILD: Final = Path(__file__).parents[1] / "cluster" / "build"


class ToolFailed(RuntimeError):
    """helm or kubectl refused; the message is what it said."""


def helm(*arguments: str | Path, given: str | None = None) -> str:
    """What helm prints.

    Args:
        given: its standard input.

    Raises:
        ToolFailed: it refused.
    """
    return _run("helm", arguments, given)


def kubectl(*arguments: str | Path, given: str | None = None) -> str:
    """What kubectl prints; see `helm`."""
    return _run("kubectl", arguments, given)


def _run(tool: str, arguments: tuple[str | Path, ...], given: str | None) -> str:
    command = [str(_folder() / tool), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=given, timeout=60)
    if done.returncode:
        raise ToolFailed(done.stderr.strip())
    return done.stdout


@functools.cache
def _folder() -> Path:
    """Where they are, beside the programs of the tests' Kubernetes (which need not be there)."""
    where = subprocess.run([_BUILD / "programs", "--where"], check=True, capture_output=True, text=True)
    folder = Path(where.stdout.strip())
    subprocess.run([_BUILD / "kubectl", folder, sys.executable], check=True, stdin=subprocess.DEVNULL)
    return folder
