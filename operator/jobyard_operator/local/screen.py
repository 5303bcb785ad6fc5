"""Tells on a terminal, in a picture that stays in its place: queues, running jobs, what has just ended, where to look."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobyard_operator.local.endings import Ending
from jobyard_operator.local.plain import where_to_look
from jobyard_operator.local.view import View
from jobyard_operator.local.wording import label, progress, took
from jobyard_operator.local.yard import Places

_MARKS: Final = {
    "completed": ("✔", "green"),
    "dead": ("✖", "red"),
    "cancelled": ("–", "yellow"),
    "failed": ("↻", "yellow"),
    "note": ("!", "yellow"),
}
_REMEMBERED: Final = 100
_FEWEST_LINES: Final = 3


class Screen:
    """Draws four times a second."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console if console is not None else Console()
        self._lock = threading.Lock()
        self._last: deque[Text] = deque(maxlen=_REMEMBERED)
        self._places: Places | None = None
        self._view = View()
        self._closing = False
        self._live = Live(
            get_renderable=self._draw, console=self._console, refresh_per_second=4, vertical_overflow="crop"
        )
        self._live.start()

    def ready(self, places: Places, samples: int) -> None:
        self._places = places
        if samples:
            self.event(f"{samples} sample jobs are enqueued")

    def event(self, text: str) -> None:
        for line in text.splitlines():
            self._remember("note", line)

    def ended(self, ending: Ending, result: str) -> None:
        job = ending.job
        self._remember(ending.kind, f"{job.queue:<8} {label(job):<24} {took(ending):>7}  {result}")

    def unread(self, count: int) -> None:
        self._remember("completed", f"… and {count:,} more jobs")

    def look(self, view: View) -> None:
        self._view = view

    def closing(self) -> None:
        self._closing = True

    def close(self) -> None:
        self._live.stop()

    def _remember(self, kind: str, text: str) -> None:
        mark, colour = _MARKS[kind]
        clock = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005 (for people: local time)
        line = Text.assemble((clock, "dim"), " ", (mark, colour), " ", text, no_wrap=True, overflow="ellipsis")
        with self._lock:
            self._last.append(line)

    def _draw(self) -> RenderableType:
        view, places = self._view, self._places
        if places is None:
            return Text("Jobyard is starting …", style="dim")
        foot = Text("\n".join(where_to_look(places)[1:]), style="dim", no_wrap=True, overflow="ellipsis")
        running = view.running[:5]
        used = len(view.stats) + 4 + (len(running) + 1 if running else 0) + foot.plain.count("\n") + 1 + 4
        with self._lock:
            last = list(self._last)[-max(_FEWEST_LINES, self._console.height - used) :]
        return Group(
            _queues(view),
            _workers(view, self._closing),
            *([_running(view, len(running))] if running else []),
            Panel(
                Group(*last) if last else Text("Nothing has ended yet.", style="dim"),
                title="Just now",
                title_align="left",
            ),
            foot,
        )


def _queues(view: View) -> Table:
    table = Table(expand=True, box=None, header_style="bold", pad_edge=False)
    table.add_column("Queue", ratio=1, no_wrap=True, overflow="ellipsis")
    for name in ("Waiting", "Active", "Delayed", "Dead letters", "Completed"):
        table.add_column(name, justify="right", no_wrap=True, min_width=9)
    for one in view.stats:
        table.add_row(
            Text.assemble((one.queue, "bold"), ("  paused", "yellow") if one.policy.paused else ""),
            _count(one.waiting, "yellow"),
            _count(one.active, "blue"),
            _count(one.delayed, "magenta"),
            _count(one.dead, "red"),
            _count(one.completed, "green"),
        )
    return table


def _count(value: int, colour: str) -> Text:
    return Text(f"{value:,}", style=colour if value else "dim")


def _workers(view: View, closing: bool) -> Text:
    processes, threads = len(view.workers), sum(one.threads for one in view.workers)
    if processes == 0:
        return Text("\nThe workers have stopped." if closing else "\nThe workers are starting …", style="dim")
    # What workers say of themselves is a few seconds old; what they have fetched is not.
    active = sum(one.active for one in view.stats)
    kind = "process" if processes == 1 else "processes"
    return Text(
        f"\n{processes} worker {kind} with {threads} threads, {active:,} {'job' if active == 1 else 'jobs'} active"
    )


def _running(view: View, count: int) -> Table:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column(width=22)
    table.add_column(ratio=2, no_wrap=True, overflow="ellipsis")
    for job in view.running[:count]:
        percent, message = progress(job)
        table.add_row(
            Text(f"  {job.queue:<8} {label(job)}"),
            ProgressBar(total=100, completed=percent, width=20),
            Text(f"{percent:.0f} % {message}", style="dim"),
        )
    return table
