"""Processes that are replaced: by new code, after so many jobs, because they have grown."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobyard.broker import JobyardBroker
from support.waiting import eventually
from worker.process import WorkerProcess

Start = Callable[..., WorkerProcess]
Send = Callable[..., str]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A module that changes."""
    folder = tmp_path / "code"
    folder.mkdir()
    write_code(folder, "one")
    return folder


def write_code(folder: Path, version: str, *, broken: bool = False) -> None:
    """An actor that notes this version."""
    text = f"""
import os, jobyard
@jobyard.actor(queue_name="work")
def version(name):
    with open(os.environ["RECORD"], "a") as file:
        file.write(f"{version} 1 {{os.getpid()}}\\n")
"""
    (folder / "changing.py").write_text("import nothing_like_this\n" if broken else text)


def test_sighup_brings_new_code_without_a_gap(start: Start, send: Send, code: Path) -> None:
    # Compiled code carries the source's time in seconds, and this test is faster than that.
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    arguments = ("changing", "--processes", "2", "--threads", "1")
    worker = start(*arguments, path=code, environment=environment).ready()
    before = worker.children()
    send("version", "a")
    eventually(lambda: worker.names()["one"] == 1)

    write_code(code, "two")
    unready: list[tuple[int, str]] = []
    replaced = threading.Event()

    def watch() -> None:
        while not replaced.is_set():
            answer = worker.get("/readyz")
            if answer[0] != 200:
                unready.append(answer)

    watching = threading.Thread(target=watch)
    watching.start()
    worker.tell(signal.SIGHUP)
    eventually(lambda: len(set(worker.children()) - set(before)) == 2 and len(worker.children()) == 2, 15)
    replaced.set()
    watching.join()
    assert unready == []
    for name in "bcde":
        send("version", name)
    eventually(lambda: worker.names() == {"one": 1, "two": 4})
    assert worker.metric("jobyard_worker_restarts_total", reason="reload") == 2


def test_a_job_that_runs_during_a_reload_is_finished_by_the_process_that_has_it(
    start: Start, send: Send, producer: JobyardBroker
) -> None:
    worker = start("app", "--processes", "1", "--threads", "1").ready()
    send("hold", "held", 60)
    (run,) = eventually(worker.runs)
    worker.tell(signal.SIGHUP)
    send("quick", "meanwhile")
    eventually(lambda: worker.names()["meanwhile"])
    assert worker.runs()[-1].pid != run.pid
    worker.release("held")
    eventually(lambda: worker.names()["held-end"])
    assert [one.pid for one in worker.runs() if one.name.startswith("held")] == [run.pid, run.pid]
    eventually(lambda: len(worker.children()) == 1)


def test_new_code_that_cant_be_loaded_leaves_the_old_one_running(start: Start, send: Send, code: Path) -> None:
    arguments = ("changing", "--processes", "2", "--threads", "1")
    worker = start(*arguments, path=code, environment={"PYTHONDONTWRITEBYTECODE": "1"}).ready()
    before = worker.children()
    write_code(code, "broken", broken=True)
    worker.tell(signal.SIGHUP)
    eventually(lambda: "the processes with the old code go on" in worker.log(), 10)
    assert "nothing_like_this" in worker.log()
    eventually(lambda: worker.children() == before)
    assert worker.get("/readyz")[0] == 200
    send("version", "a")
    eventually(lambda: worker.names() == {"one": 1})
    write_code(code, "three")
    worker.tell(signal.SIGHUP)
    eventually(lambda: len(set(worker.children()) - set(before)) == 2 and len(worker.children()) == 2, 15)
    send("version", "b")
    eventually(lambda: worker.names() == {"one": 1, "three": 1})


def test_a_version_that_was_installed_meanwhile_is_not_mixed_with_the_running_one(start: Start) -> None:
    older = """
import sys
from jobyard.worker import supervisor
from jobyard.worker.settings import WorkerSettings
supervisor.VERSION = "0.0.1"
port = int(sys.argv[sys.argv.index("--probe-port") + 1])
sys.exit(supervisor.Supervisor(WorkerSettings(modules=("app",), processes=1, probe_port=port)).run())
"""
    worker = start(wrapper=(sys.executable, "-c", older))
    eventually(lambda: "its supervisor is still 0.0.1: restart the worker" in worker.log())
    assert worker.get("/readyz")[0] == 503
    assert worker.stop() == 0


def test_after_so_many_jobs_a_process_is_replaced_and_no_job_suffers(
    start: Start, send: Send, producer: JobyardBroker
) -> None:
    worker = start("app", "--processes", "1", "--threads", "2", "--max-jobs", "20").ready()
    for number in range(50):
        send("quick", f"first-{number}")
    eventually(lambda: worker.metric("jobyard_worker_restarts_total", reason="jobs") == 1, 10)
    for number in range(50):
        send("quick", f"second-{number}")
    eventually(lambda: producer.inspector.stats("work").completed == 100)
    assert set(worker.names().values()) == {1}
    assert producer.inspector.stats("work").counts["started"] >= 100
    assert len({run.pid for run in worker.runs()}) >= 2
    # It was replaced, and it did not crash.
    assert worker.metric("jobyard_worker_restarts_total", reason="crash") is None


def test_a_process_that_has_grown_is_replaced(start: Start, send: Send) -> None:
    worker = start("app", "--processes", "1", "--threads", "1", "--max-memory", "200").ready()
    (child,) = worker.children()
    send("grow", 20)
    eventually(lambda: (worker.metric("jobyard_worker_memory_bytes", process=str(child)) or 0) > 30 * 2**20)
    assert worker.children() == [child]
    send("grow", 250)
    eventually(lambda: worker.metric("jobyard_worker_restarts_total", reason="memory") == 1, 10)
    assert child not in worker.children()


def test_counters_dont_go_backwards_when_a_process_is_replaced(start: Start, send: Send) -> None:
    worker = start("app", "--processes", "2", "--threads", "1").ready()
    for number in range(20):
        send("quick", f"job-{number}")

    def ended() -> float | None:
        return worker.metric("jobyard_jobs_ended_total", queue="work", actor="quick", outcome="completed")

    eventually(lambda: ended() == 20)
    for number in (signal.SIGKILL, signal.SIGTERM):
        for child in worker.children():
            os.kill(child, number)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            assert ended() == 20
    assert worker.metric("jobyard_job_duration_seconds_count", queue="work", actor="quick") == 20
    worker.ready()
    send("quick", "another")
    eventually(lambda: ended() == 21)
