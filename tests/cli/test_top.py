"""`jobyard top`, once and at a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dramatiq import Message
from rich.console import Console

from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import QueueStats
from jobyard.broker.policy import QueuePolicy
from jobyard.cli.top.sample import Sample, rates_of
from jobyard.cli.top.view import ORDERS, View, draw, ordered
from support.waiting import eventually

Run = Callable[..., Any]


# What is shown ------------------------------------------------------------------------------------------------------


def _queue(name: str, waiting: int = 0, *, now: int = 1_000_000, accepted: int = 0, completed: int = 0) -> QueueStats:
    counts = {"accepted": accepted, "completed": completed}
    return QueueStats(
        name, now, waiting, 0, 0, 0, 0, 0, 0, waiting, None, now - 5000 if waiting else None, counts, QueuePolicy()
    )  # fmt: skip


def _text(view: View, width: int = 120, height: int = 30) -> str:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as captured:
        console.print(draw(view, width, height))
    return captured.get()


def _sample(*queues: QueueStats) -> Sample:
    return Sample("redis://there:6379/0", "jobyard", queues, ())


def test_rates_are_what_happened_between_two_ledgers() -> None:
    before = _queue("emails", accepted=10, completed=5)
    after = _queue("emails", now=1_002_000, accepted=20, completed=9)
    rates = rates_of(before, after)
    assert (rates.arrived, rates.done, rates.failed) == (5, 2, 0)
    assert rates_of(after, after).arrived == 0


def test_the_selected_queue_stays_selected_wherever_it_goes() -> None:
    view = View(_sample(_queue("a", 1), _queue("b", 2), _queue("c", 3)), order="WAITING")
    assert [one.queue for one in ordered(view)] == ["c", "b", "a"]
    view.move(1)
    assert view.selected == "b"
    view.show(_sample(_queue("a", 9), _queue("b", 20), _queue("c", 3)))
    assert (view.selected, view.row) == ("b", 0)
    view.move(-5)
    view.move(99)
    assert view.selected == "c"
    view.show(_sample())
    assert view.selected is None
    assert "no queue yet" in _text(view)


@pytest.mark.parametrize("order", ORDERS)
def test_it_fits_whatever_the_size_and_shows_the_selected_queue(order: str) -> None:
    view = View(_sample(*(_queue(f"queue{number:03}", number) for number in range(100))), order=order)
    view.move(70)
    for width, height in ((40, 16), (80, 24), (200, 60)):
        text = _text(view, width, height)
        assert len(text.splitlines()) <= height
        assert max(map(len, text.splitlines())) <= width
        assert (view.selected or "?") in text


def test_it_says_what_the_columns_mean_and_that_no_worker_is_there() -> None:
    view = View(_sample(_queue("a", 1)))
    assert "No worker is there" in _text(view)
    view.explains = True
    assert "wait for a slot of their key" in _text(view)


# Once ---------------------------------------------------------------------------------------------------------------


def test_without_a_terminal_it_is_printed_once(jobyard: Run, bury: Callable[..., list[str]]) -> None:
    bury("no such user\x1b[2J", 1)
    jobyard("enqueue", "add", "--queue", "sums")
    said = jobyard("top", "--interval", "0.2")
    assert said.status == 0
    for word in ("QUEUE", "sums", "emails", "no such user", "running"):
        assert word in said.out
    assert "\x1b" not in said.out


def test_programs_get_values(jobyard: Run, bury: Callable[..., list[str]]) -> None:
    [dead] = bury("no such user", 1)
    jobyard("enqueue", "add", "--queue", "sums")
    found = jobyard("top", "--interval", "0.2", "-o", "json").json
    assert [(one["name"], one["waiting"]) for one in found["queues"]] == [("emails", 0), ("sums", 1)]
    assert [(one["job_id"], one["error"]) for one in found["failing"]] == [(dead, "PermanentError: no such user")]
    assert found["queues"][0]["done_per_second"] == 0
    only = jobyard("top", "--interval", "0.2", "--queue", "sums", "-o", "json").json
    assert [one["name"] for one in only["queues"]] == ["sums"]
    assert jobyard("top", "--queue", "nowhere").status == 4


# At a terminal ------------------------------------------------------------------------------------------------------


class Terminal:
    """The command at a terminal of 120 by 30."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.seen = b""
        # In a session of its own, whose terminal this is, so that Ctrl-C reaches it.
        start = (
            "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", start, sys.executable, "-m", "jobyard.cli", "top", "--interval", "0.3"],
            stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", **environment},
            start_new_session=True,
        )  # fmt: skip

    def sees(self, text: str) -> bool:
        """Whether this has been written since the last `forget`."""
        while select.select([self.ours], [], [], 0)[0]:
            self.seen += os.read(self.ours, 65536)
        return text.encode() in self.seen

    def shows_no(self, text: str) -> bool:
        """Whether this is not on the last screen that was drawn."""
        return text.encode() not in self.seen.rpartition(b"jobyard top")[2]

    def press(self, keys: bytes) -> None:
        self.seen = b""
        os.write(self.ours, keys)

    def wait(self) -> int:
        """Its exit status. What it writes has to be read meanwhile."""
        eventually(lambda: (self.sees(""), self.process.poll() is not None)[1], 30, what="it ends")
        return self.process.wait()

    @property
    def is_as_before(self) -> bool:
        self.sees("")
        # Out of the other screen, the cursor shown, and the settings as they were.
        return (
            self.seen.rfind(b"\x1b[?1049l") > self.seen.rfind(b"\x1b[?1049h")
            and self.seen.rfind(b"\x1b[?25h") > self.seen.rfind(b"\x1b[?25l")
            and termios.tcgetattr(self.theirs) == self.before
        )


@pytest.fixture
def terminal(jobyard: Run, broker: JobyardBroker, redis_url: str) -> Iterator[Terminal]:
    for name in ("alpha", "beta"):
        jobyard("enqueue", "add", "--queue", name)
    one = Terminal({"JOBYARD_REDIS_URL": redis_url, "JOBYARD_NAMESPACE": broker.namespace})
    yield one
    one.process.kill()
    one.process.wait()
    for descriptor in (one.ours, one.theirs):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_at_a_terminal_it_lives_and_obeys_keys(terminal: Terminal, broker: JobyardBroker) -> None:
    eventually(lambda: terminal.sees("pause/resume"), 30, what="the keys are on the screen")
    broker.enqueue(Message("gamma", "add", (), {}, {}))
    eventually(lambda: terminal.sees("gamma"), 30, what="a queue that is new is shown")
    terminal.press(b"\x1b[B")
    terminal.press(b"p")
    eventually(lambda: terminal.sees("beta is paused"), 30, what="the selected queue is paused")
    assert broker.inspector.stats("beta").policy.paused
    assert not broker.inspector.stats("alpha").policy.paused
    terminal.press(b"p")
    eventually(lambda: not broker.inspector.stats("beta").policy.paused, 30, what="it is resumed")
    terminal.press(b"?")
    eventually(lambda: terminal.sees("dead letters: out of attempts"), 30, what="help is shown")
    terminal.press(b"?s")
    terminal.press(b"s")
    eventually(lambda: terminal.sees("▼"), 30, what="it is sorted")
    terminal.press(b"q")
    assert terminal.wait() == 0
    terminal.seen = b"\x1b[?1049h\x1b[?25l" + terminal.seen
    assert terminal.is_as_before


@pytest.mark.parametrize("ending", ["Ctrl-C", signal.SIGTERM, signal.SIGHUP])
def test_however_it_ends_the_terminal_is_as_before(terminal: Terminal, ending: str | signal.Signals) -> None:
    eventually(lambda: terminal.sees("pause/resume"), 30, what="it runs")
    if isinstance(ending, str):
        os.write(terminal.ours, b"\x03")
        number = signal.SIGINT
    else:
        terminal.process.send_signal(ending)
        number = ending
    assert terminal.wait() == 128 + number
    assert terminal.is_as_before
    assert b"Traceback" not in terminal.seen


def test_where_redis_goes_away_it_says_so_and_goes_on(
    start_server: Callable[..., Any], make_broker: Callable[..., JobyardBroker]
) -> None:
    server = start_server()
    made = make_broker(server.url)
    made.enqueue(Message("gamma", "add", (), {}, {}))
    one = Terminal({"JOBYARD_REDIS_URL": server.url, "JOBYARD_NAMESPACE": made.namespace, "JOBYARD_PATIENCE": "0.2"})
    try:
        eventually(lambda: one.sees("gamma"), 30, what="it runs")
        server.kill()
        eventually(lambda: one.sees("Redis does not answer"), 30, what="it says so")
        server.start()
        one.seen = b""
        eventually(lambda: one.sees("gamma") and one.shows_no("does not answer"), 30, what="it goes on")
        one.press(b"q")
        assert one.wait() == 0
    finally:
        one.process.kill()
        one.process.wait()
        os.close(one.ours)
        os.close(one.theirs)
