"""Runs what the pages of the documentation tell, on a real server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGTERM
from subprocess import STDOUT, Popen, TimeoutExpired
from typing import Final

import pytest

from support.pages import Command, File, fits, steps
from support.processes import end, spawn
from support.servers import Kind, Server

#: Seconds that one command may take. Generous: the machine may be busy.
_LONGEST: Final = 90


class Shell:
    """A directory and an environment of one page's own."""

    def __init__(self, directory: Path, url: str, namespace: str) -> None:
        self.directory = directory
        self._background: list[tuple[Command, Popen[bytes], Path]] = []
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "JOBYARD_REDIS_URL": url,
            "JOBYARD_NAMESPACE": namespace,
            # Of workers. Pages run side by side, so that no port may be fixed.
            "JOBYARD_PROBE_PORT": "0",
            "JOBYARD_PROCESSES": "1",
        }

    def follow(self, page: Path) -> None:
        """Do what a page tells."""
        for step in steps(page):
            if isinstance(step, File):
                path = self.directory / step.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(step.text, encoding="utf-8")
            else:
                self._run(step)
        self.stop()

    def stop(self) -> None:
        """End what runs in the background. It has to end in order."""
        while self._background:
            command, process, log = self._background.pop()
            end(process, timeout=_LONGEST)
            if process.returncode not in (0, -SIGTERM):
                raise AssertionError(f"{command.at}: `{command.line} &` ended with {process.returncode}. {_text(log)}")

    def _run(self, command: Command) -> None:
        log = self.directory / f".output-{len(list(self.directory.glob('.output-*')))}"
        with log.open("wb") as output:
            line = f"exec {command.line}" if command.background else command.line
            process = spawn(["/bin/sh", "-c", line], cwd=self.directory, env=self._env, stdout=output, stderr=STDOUT)
        if command.background:
            self._background.append((command, process, log))
            return
        try:
            process.wait(_LONGEST)
        except TimeoutExpired:
            end(process)
            raise self._wrong(command, f"takes longer than {_LONGEST} s", log) from None
        if process.returncode != 0:
            raise self._wrong(command, f"ended with {process.returncode}", log)
        if command.output.strip() and not fits(command.output, _text(log)):
            raise self._wrong(command, "printed something else", log)

    def _wrong(self, command: Command, what: str, log: Path) -> AssertionError:
        logs = [log, *(one for _, _, one in self._background)]
        return AssertionError(f"{command.at}: `{command.line}` {what}:\n" + "\n".join(map(_text, logs)))


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture
def shell(shared_servers: Callable[[Kind], Server], namespace: str, tmp_path: Path) -> Iterator[Shell]:
    """Runs the examples of one page: `shell.follow(page)`."""
    made = Shell(tmp_path, shared_servers("valkey").url, namespace)
    yield made
    made.stop()
