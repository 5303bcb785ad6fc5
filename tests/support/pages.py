"""The examples in a page of the documentation: programs, and commands with what they print. See CONTRIBUTING.md.

A ```python block whose first line is `# file: NAME` is a file. A ```console block has commands, each after `$ `, and what
they print. What a page tells is done in the order in which it tells it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE: Final = re.compile(r"# file: (\S+)\n")


@dataclass(frozen=True, slots=True)
class File:
    """A file to write."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run.

    Attributes:
        line: as a shell takes it.
        background: it runs until the end of the page.
        output: what it prints; empty: whatever it likes. `…` stands for anything.
        at: where the page has it, for errors.
    """

    line: str
    background: bool
    output: str
    at: str


Step = File | Command


def steps(page: Path) -> list[Step]:
    """What a page has to be written and run, in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Step] = []
    for block in _BLOCK.finditer(text):
        language, body = block.groups()
        line = text.count("\n", 0, block.start()) + 2
        name = _FILE.match(body)
        if language == "python" and name:
            found.append(File(name[1], body))
        elif language == "console":
            found += _commands(body, page, line)
    named = {word for step in found if isinstance(step, Command) for word in _words(step.line)}
    whole: list[Step] = []
    for step in found:
        whole.append(step)
        # A program that no command names is there to be run as it is.
        if isinstance(step, File) and step.name.endswith(".py") and not {step.name, step.name[:-3]} & named:
            whole.append(Command(f"python {step.name}", background=False, output="", at=f"{page.name}, {step.name}"))
    return whole


def fits(expected: str, printed: str) -> bool:
    """Whether this is what was to be printed."""
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def _commands(body: str, page: Path, first_line: int) -> list[Command]:
    commands: list[Command] = []
    for number, line in enumerate(body.splitlines(), first_line):
        if line.startswith("$ "):
            whole = line[2:].strip()
            background = whole.endswith("&")
            commands.append(Command(whole.rstrip("& "), background, "", f"{page.name}, line {number}"))
        elif commands:
            last = commands[-1]
            commands[-1] = Command(last.line, last.background, f"{last.output}{line}\n", last.at)
        else:
            raise ValueError(f"{page.name}, line {number}: a console block begins with a line `$ COMMAND`")
    return commands


def _words(line: str) -> list[str]:
    """The words of a command; of Python code in it (`python -c "…"`) each name."""
    return [name for word in shlex.split(line) for name in (word, *re.findall(r"[\w.]+", word))]
