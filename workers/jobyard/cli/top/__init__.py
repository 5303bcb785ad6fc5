"""`jobyard top`: queues and workers, live. `sample` asks, `view` draws, `terminal` reads keys; this holds them together."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerError
from jobyard.cli.app import app
from jobyard.cli.connection import connected, fail
from jobyard.cli.harmless import harmless
from jobyard.cli.output import Format, Output, print_wide, show_value
from jobyard.cli.statuses import Status
from jobyard.cli.top.sample import Sample, take, values_of
from jobyard.cli.top.terminal import Keys
from jobyard.cli.top.view import ORDERS, View, draw, ordered

_HELP = """
Watch queues, workers and failing jobs, live.

\b
  jobyard top
  jobyard top --interval 5 --queue emails --queue images
  jobyard top --once                   print it once, as it also does where the output is no terminal
  jobyard top -o json                  once, for programs

\b
Keys
  up, down, k, j   select a queue
  p                pause it, or resume it
  s                sort by the next column
  ?                what the columns mean
  q                leave
"""


@app.command(help=_HELP)
def top(
    queues: Annotated[
        list[str] | None,
        typer.Option("--queue", "-q", metavar="NAME", help="Only this queue. Can be given several times."),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", "-i", min=0.2, max=60, metavar="SECONDS", help="Look again after so long.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look for one interval, print it, and leave.")] = False,
    output: Output = Format.TABLE,
) -> None:
    with connected() as broker:
        first = take(broker, queues)
        missing = [name for name in queues or () if name not in {one.queue for one in first.queues}]
        if missing:
            fail(f"no queue is called {missing[0][:200]!r}", Status.UNKNOWN)
        if once or output is not Format.TABLE or not (sys.stdin.isatty() and sys.stdout.isatty()):
            time.sleep(interval)
            last = take(broker, queues, first)
            if output is Format.TABLE:
                print_wide(draw(View(last, live=False)))
            else:
                show_value(values_of(last), output)
            return
        _watch(broker, queues, interval, first)


def _watch(broker: JobyardBroker, names: list[str] | None, interval: float, first: Sample) -> None:
    view = View(first)
    console = Console(highlight=False)
    with (
        _ends_in_order(),
        Keys(sys.stdin.fileno()) as keys,
        Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live,
    ):
        due = time.monotonic() + interval
        while True:
            live.update(draw(view, console.width, console.height), refresh=True)
            key = keys.read(max(0.0, due - time.monotonic()))
            if key == "q":
                return
            if key is not None:
                _obey(broker, view, key)
            if time.monotonic() >= due:
                try:
                    view.show(take(broker, names, view.sample))
                except BrokerError as error:
                    view.note = harmless(f"Redis does not answer, these are old: {error}")
                due = time.monotonic() + interval


def _obey(broker: JobyardBroker, view: View, key: str) -> None:
    if key in ("down", "j"):
        view.move(1)
    elif key in ("up", "k"):
        view.move(-1)
    elif key == "s":
        view.order = ORDERS[(ORDERS.index(view.order) + 1) % len(ORDERS)]
    elif key == "?":
        view.explains = not view.explains
    elif key == "p" and (name := view.selected) is not None:
        pausing = not next(one for one in ordered(view) if one.queue == name).policy.paused
        try:
            (broker.pause if pausing else broker.resume)(name)
            view.pause(name, pausing)
        except BrokerError as error:
            view.note = harmless(f"{name} was not {'paused' if pausing else 'resumed'}: {error}")


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """Whoever ends it by a signal gets the terminal back as it was. Ctrl-Z does nothing, since it would leave it behind."""

    def leave(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    wanted: dict[signal.Signals, Any] = {
        signal.SIGTERM: leave, signal.SIGHUP: leave, signal.SIGINT: lambda *_: leave(2, None), signal.SIGTSTP: signal.SIG_IGN,
    }  # fmt: skip
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
