"""What `jobyard top` shows, and how it is drawn. Pure: takes a sample and a size, returns what rich can print."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jobyard.broker.inspector import QueueStats
from jobyard.cli.durations import say_duration
from jobyard.cli.facts import last_error, state_of, when
from jobyard.cli.harmless import harmless
from jobyard.cli.top.sample import Rates, Sample

ORDERS: Final = ("QUEUE", "WAITING", "OLDEST", "ACTIVE", "IN/S", "OUT/S", "FAILED")
_NO_RATES: Final = Rates()
#: Lines that are not queues: head, names of columns, gaps, failing jobs, keys.
_AROUND: Final = 12
_FAILING: Final = 4
#: How wide a terminal must be to show a column: what says least goes first.
_NEEDS: Final = {"PARKED": 100, "DELAYED": 90, "ERR/S": 80, "STATE": 70, "IN/S": 60, "OUT/S": 50, "OLDEST": 50}
_KEYS: Final = (("q", "quit"), ("↑↓ jk", "select"), ("p", "pause/resume"), ("s", "sort"), ("?", "help"))
_EXPLAINED: Final = (
    ("WAITING", "can start now"),
    ("DELAYED", "not due yet: delays, retries, rates by key"),
    ("PARKED", "wait for a slot of their key"),
    ("ACTIVE", "run"),
    ("FAILED", "dead letters: out of attempts"),
    ("IN/S, OUT/S", "accepted and completed, a second"),
    ("ERR/S", "runs that failed, a second; those that are tried again count as well"),
    ("OLDEST", "how long the first of those that wait exists"),
)


@dataclass(slots=True)
class View:
    """What is looked at.

    Attributes:
        row: which queue is selected, counted in the order in which they are shown.
        note: one line, until the next sample.
    """

    sample: Sample
    order: str = ORDERS[0]
    row: int = 0
    explains: bool = False
    note: str = ""
    live: bool = True

    @property
    def selected(self) -> str | None:
        """The name of the selected queue; None: there is none."""
        queues = ordered(self)
        return queues[min(self.row, len(queues) - 1)].queue if queues else None

    def move(self, by: int) -> None:
        """Select another queue."""
        self.row = max(0, min(self.row + by, len(self.sample.queues) - 1))

    def show(self, sample: Sample) -> None:
        """Look at a newer sample. The same queue stays selected, wherever it is now."""
        name = self.selected
        self.sample = sample
        self.note = ""
        names = [one.queue for one in ordered(self)]
        self.row = names.index(name) if name in names else min(self.row, max(0, len(names) - 1))

    def pause(self, name: str, paused: bool) -> None:
        """It was paused, or resumed: say so before the next sample does."""
        queues = [
            replace(one, policy=one.policy.model_copy(update={"paused": paused})) if one.queue == name else one
            for one in self.sample.queues
        ]
        self.sample = replace(self.sample, queues=tuple(queues))
        self.note = f"{name} is paused: no more of its jobs start" if paused else f"{name} is running again"


def ordered(view: View) -> list[QueueStats]:
    """The queues as they are shown: by name, or those with the most first."""
    rates = view.sample.rates

    def most(one: QueueStats) -> float:
        rate = rates.get(one.queue, _NO_RATES)
        values = {
            "WAITING": one.waiting,
            "OLDEST": _age(one) or 0,
            "ACTIVE": one.active,
            "IN/S": rate.arrived,
            "OUT/S": rate.done,
            "FAILED": one.dead,
        }
        return values.get(view.order, 0)

    return sorted(view.sample.queues, key=lambda one: (-most(one), one.queue))


def draw(view: View, width: int = 100_000, height: int = 100_000) -> RenderableType:
    """All of it, for a terminal of that size."""
    parts: list[RenderableType] = [_head(view), Text("")]
    if view.explains:
        parts += [_explained()]
    elif view.sample.queues:
        parts += [_queues(view, width, max(3, height - _AROUND))]
    else:
        parts += [Text("There is no queue yet.", style="dim")]
    if view.sample.failing and not view.explains:
        parts += [Text(""), _failing(view)]
    if view.live:
        parts += [Text(""), Text(view.note, style="yellow", no_wrap=True, overflow="ellipsis"), _keys()]
    return Group(*parts)


def _head(view: View) -> Text:
    sample = view.sample
    busy, threads = sum(one.busy for one in sample.workers), sum(one.threads for one in sample.workers)
    draining = sum(one.draining for one in sample.workers)
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append("jobyard top", style="bold")
    head.append(harmless(f"  {sample.address}  {sample.namespace}  {time.strftime('%H:%M:%S')}\n"), style="dim")
    if sample.workers:
        head.append(f"Workers {len(sample.workers)}   busy {busy}/{threads}")
    else:
        head.append("No worker is there", style="bold red" if any(one.waiting for one in sample.queues) else "")
    head.append(f"   draining {draining}" if draining else "")
    waiting, running = (sum(getattr(one, name) for one in sample.queues) for name in ("waiting", "active"))
    head.append(f"   Jobs waiting {waiting:,}   active {running:,}")
    lost = sum(one.lost for one in sample.queues)
    if lost:
        head.append(f"   LOST {lost:,}: see jobyard audit", style="bold red")
    return head


def _queues(view: View, width: int, room: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    names = ("QUEUE", "STATE", "WAITING", "OLDEST", "DELAYED", "PARKED", "ACTIVE", "IN/S", "OUT/S", "ERR/S", "FAILED")
    hidden = {name for name, least in _NEEDS.items() if width < least}
    shown = [name for name in names if name not in hidden]
    for name in shown:
        label = f"{name}{'▼' if name == view.order else ''}"
        left = name in ("QUEUE", "STATE")
        table.add_column(
            label,
            justify="left" if left else "right",
            no_wrap=True,
            overflow="ellipsis",
            min_width=8 if name == "QUEUE" else len(name),
        )
    queues = ordered(view)
    row = min(view.row, len(queues) - 1)
    first = max(0, min(row - room // 2, len(queues) - room))
    for number, one in enumerate(queues[first : first + room], first):
        rates = view.sample.rates.get(one.queue, _NO_RATES)
        state = state_of(one)
        cells = {
            "QUEUE": one.queue,
            "STATE": state,
            "WAITING": f"{one.waiting:,}",
            "OLDEST": "" if _age(one) is None else say_duration(_age(one) or 0),
            "DELAYED": f"{one.delayed:,}",
            "PARKED": f"{one.parked:,}",
            "ACTIVE": f"{one.active:,}",
            "IN/S": f"{rates.arrived:,.1f}",
            "OUT/S": f"{rates.done:,.1f}",
            "ERR/S": f"{rates.failed:,.1f}",
            "FAILED": f"{one.dead:,}",
        }
        style = "reverse" if view.live and number == row else ("" if state == "running" else "yellow")
        table.add_row(*(Text(cells[name]) for name in shown), style=style)
    return table


def _failing(view: View) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left", title_style="")
    for name in ("FAILED", "QUEUE", "ACTOR", "ERROR"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for job in view.sample.failing[:_FAILING]:
        cells = (when(job.ended_at) or "", job.queue, job.actor, last_error(job) or "")
        table.add_row(*(Text(harmless(cell)) for cell in cells))
    return table


def _explained() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in _EXPLAINED:
        table.add_row(name, text)
    return table


def _keys() -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for key, what in _KEYS:
        line.append(f" {key} ", style="reverse")
        line.append(f" {what}  ")
    return line


def _age(one: QueueStats) -> float | None:
    """Milliseconds since the first waiting job was created."""
    return None if one.oldest_at is None else max(0, one.now - one.oldest_at)
