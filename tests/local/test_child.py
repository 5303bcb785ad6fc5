"""A child process is kept running, is stopped in order, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobyard_operator.local.child import Child
from local.conftest import is_alive
from support.waiting import eventually

StartChild = Callable[..., Child]


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def start_child(tmp_path: Path, events: list[str]) -> Iterator[StartChild]:
    """Starts Python code as a child that is kept running."""
    started: list[Child] = []

    def start(code: str, *arguments: str, **options: object) -> Child:
        command = [sys.executable, "-I", "-u", "-c", code, *arguments]
        started.append(Child("the child", command, tmp_path / "child.log", on_event=events.append, **options))
        return started[-1].start()

    yield start
    for child in started:
        child.stop(0)


WAITS = "import time; print('ready'); time.sleep(60)"


def said(child: Child, text: str) -> None:
    eventually(lambda: text in child.last_lines(), what=f"it says {text!r}")


def test_its_output_is_in_its_log(start_child: StartChild, tmp_path: Path) -> None:
    child = start_child("import sys, time; print('out'); print('error', file=sys.stderr); time.sleep(60)")

    said(child, "out\nerror")
    assert child.last_lines(1) == "error"


def test_it_is_started_again_when_it_dies(start_child: StartChild, events: list[str]) -> None:
    child = start_child(WAITS)
    said(child, "ready")
    first = child.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)

    eventually(lambda: child.pid not in (None, first), what="there is another one")
    assert child.restarts == 1
    assert events == ["the child died (SIGKILL); started again"]


def test_it_is_started_again_even_if_nobody_can_be_told(tmp_path: Path) -> None:
    def tell(_: str) -> None:
        raise OSError("the terminal is gone")

    child = Child("the child", [sys.executable, "-I", "-u", "-c", WAITS], tmp_path / "log", on_event=tell).start()
    said(child, "ready")
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: child.pid not in (None, first), what="there is another one")
    child.stop(10)


def test_it_is_given_up_when_it_hardly_begins(start_child: StartChild) -> None:
    child = start_child("print('no such file'); raise SystemExit(1)")

    eventually(lambda: not child.running, 20, what="it is given up")

    assert child.restarts == 4
    assert "ended 5 times right after its start, the last time with exit status 1" in str(child.failure)
    assert str(child.failure).endswith("no such file")


def test_it_is_given_up_at_once_when_it_says_that_it_can_not_work(start_child: StartChild) -> None:
    child = start_child("raise SystemExit(2)", hopeless=frozenset({2}))

    eventually(lambda: not child.running)

    assert child.restarts == 0
    assert "with exit status 2" in str(child.failure)


def test_a_command_that_does_not_exist_is_a_failure(tmp_path: Path) -> None:
    child = Child("the child", ["/no/such/program"], tmp_path / "log").start()

    eventually(lambda: not child.running, 20)

    assert child.failure is not None
    assert str(child.failure).endswith("/no/such/program can't be started: No such file or directory")


def test_it_is_stopped_in_order_and_not_started_again(start_child: StartChild) -> None:
    child = start_child(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0)))\n"
        "print('ready')\n"
        "time.sleep(60)"
    )
    said(child, "ready")

    assert child.stop(10)

    assert (child.running, child.pid, child.failure, child.restarts) == (False, None, None, 0)
    assert child.last_lines(1) == "bye"


def test_it_is_killed_when_it_does_not_stop(start_child: StartChild) -> None:
    child = start_child(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready')\ntime.sleep(60)"
    )
    said(child, "ready")

    assert not child.stop(0.1)

    assert not child.running


def test_its_own_children_do_not_outlive_it(start_child: StartChild) -> None:
    child = start_child(
        "import subprocess, sys, time\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)\n"
        "time.sleep(60)"
    )
    grandchild = int(eventually(child.last_lines))
    assert child.pid is not None

    os.kill(child.pid, signal.SIGKILL)

    eventually(lambda: not is_alive(grandchild))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_gets_a_signal_when_its_parent_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    code = """
import signal, sys, time
from pathlib import Path
from jobyard_operator.local.child import Child

waits = '''
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("told"), sys.exit()))
print("ready")
time.sleep(60)
'''
command = [sys.executable, "-I", "-u", "-c", waits]
child = Child("it", command, Path(sys.argv[1]), death_signal=signal.Signals(int(sys.argv[2]))).start()
print(child.pid, flush=True)
time.sleep(60)
"""
    log = tmp_path / "child.log"
    parent = subprocess.Popen([sys.executable, "-c", code, str(log), str(int(number))], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    eventually(lambda: "ready" in log.read_text(), what="the child runs")

    parent.kill()
    parent.wait()
    parent.stdout.close()

    eventually(lambda: not is_alive(child))
    assert ("told" in log.read_text()) == (number == signal.SIGTERM)


def test_ctrl_c_in_the_terminal_does_not_reach_it(start_child: StartChild) -> None:
    child = start_child(WAITS)
    said(child, "ready")
    assert child.pid is not None

    assert os.getpgid(child.pid) != os.getpgid(0)


def test_a_very_long_log_is_put_aside(tmp_path: Path, start_child: StartChild) -> None:
    log = tmp_path / "child.log"
    with log.open("wb") as file:
        file.truncate(11 * 1024 * 1024)

    said(start_child(WAITS), "ready")

    assert log.stat().st_size < 100
    assert (tmp_path / "child.log.1").stat().st_size == 11 * 1024 * 1024
