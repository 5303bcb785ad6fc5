"""How commands show what they found: tables for people, JSON or YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from jobyard.cli.harmless import harmless, json_text
from jobyard.cli.yaml_text import yaml_text

#: Columns where the output is no terminal: nothing is cut off, so that grep and awk find everything.
_UNLIMITED: Final = 100_000
#: What names a row is shown whole on a narrow terminal, too, up to this width: an id is there to be copied.
_LONGEST_NAME: Final = 40


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, typer.Option("--output", "-o", help="A table for people, json or yaml for programs.")]


def show_value(value: Any, form: Format) -> None:
    """As JSON or YAML."""
    text = yaml_text(value) if form is Format.YAML else json_text(value, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # JSON is YAML as well, and can be written in ASCII.
        text = json.dumps(value, indent=2)
    typer.echo(text)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, none: str) -> None:
    """A table. A column whose name starts with `>` is aligned to the right; the first one is never cut.

    Args:
        none: what to say where there is no row.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    cells = [[_cell(value) for value in row] for row in rows]
    widest = max((row[0].cell_len for row in cells), default=0)
    for number, name in enumerate(columns):
        right = name.startswith(">")
        table.add_column(
            name.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=True,
            overflow="fold" if number == 0 else "ellipsis",
            min_width=len(name.removeprefix(">")) if number else min(widest, _LONGEST_NAME),
        )
    for row in cells:
        table.add_row(*row)
    if cells:
        print_wide(table)
    else:
        typer.echo(none, err=True)


def show_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; those that are not known are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value is not None and value != "":
            table.add_row(name, _cell(value))
    print_wide(table)


def print_wide(what: RenderableType) -> None:
    """As wide as the terminal, or as it takes where the output is none."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(what)
        return
    console.width = _UNLIMITED
    with console.capture() as captured:
        console.print(what)
    # Without the blanks that fill each line up to the longest.
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _cell(value: Any) -> Text:
    # A Text: what looks like rich's markup in a job's arguments is none.
    if value is None:
        return Text("")
    if isinstance(value, int) and not isinstance(value, bool):
        return Text(f"{value:,}")
    return Text(harmless(str(value)))
