"""Processes that are alive and do nothing any more."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable

from support.waiting import eventually
from worker.process import WorkerProcess, alive

Start = Callable[..., WorkerProcess]
Send = Callable[..., str]

#: `jobyard worker app --processes 1 --threads 2`, but silence is cause for concern after 3 s already.
IMPATIENT = """
import sys
from jobyard.worker import logs
from jobyard.worker.settings import WorkerSettings
from jobyard.worker.supervisor import Supervisor
arguments = dict(zip(sys.argv, sys.argv[1:]))
logs.configure("text", "info")
settings = WorkerSettings(
    modules=("app",), processes=1, threads=2, path=(arguments["--path"],), probe_port=int(arguments["--probe-port"])
)
sys.exit(Supervisor(settings, silence=3.0).run())
"""


def test_a_process_that_says_nothing_any_more_is_killed_and_replaced(start: Start, send: Send) -> None:
    worker = start(wrapper=(sys.executable, "-c", IMPATIENT)).ready()
    (child,) = worker.children()
    send("hold", "held", 60)
    eventually(worker.runs)
    os.kill(child, signal.SIGSTOP)
    status, text = eventually(lambda: _failing(worker.get("/livez")), 5)
    assert (status, "has not answered for" in text) == (503, True)
    again = eventually(lambda: worker.runs()[1:], 8)[0]
    assert again.attempt == 2
    assert not alive(child)
    eventually(lambda: worker.get("/livez")[0] == 200)
    assert worker.metric("jobyard_worker_restarts_total", reason="unhealthy") == 1


def test_a_process_whose_interpreter_is_held_by_a_job_shows_where_and_is_replaced(start: Start, send: Send) -> None:
    worker = start(wrapper=(sys.executable, "-c", IMPATIENT)).ready()
    send("seize", "seized", 60)
    again = eventually(lambda: worker.runs()[1:], 10)[0]
    assert (again.name, again.attempt) == ("seized", 2)
    assert "in seize" in worker.log(), "where the thread was stuck is shown"


def test_a_process_that_is_stuck_does_not_outlive_its_supervisor(start: Start, send: Send) -> None:
    worker = start(wrapper=(sys.executable, "-c", IMPATIENT)).ready()
    (child,) = worker.children()
    send("seize", "seized", 60)
    eventually(worker.runs)
    worker.kill()
    eventually(lambda: not alive(child), 10)


def test_a_process_that_has_lost_a_thread_is_replaced(start: Start, send: Send) -> None:
    worker = start("app", "--processes", "1", "--threads", "2").ready()
    (child,) = worker.children()
    send("hold", "held", 60)
    send("wound", "wounded")
    # It notices when the next job wakes it.
    eventually(lambda: worker.names()["wounded-struck"])
    send("quick", "next")
    # What still runs there is finished, and meanwhile another process does the rest.
    status, text = eventually(lambda: _failing(worker.get("/livez")), 5)
    assert status == 503
    assert text.startswith(f"process {socket.gethostname()}/{child}: thread jobyard-jobs-")
    assert text.endswith("has died\n")
    eventually(lambda: worker.names()["next"])
    assert worker.runs()[-1].pid != child
    worker.release("held")
    eventually(lambda: worker.get("/livez")[0] == 200)
    eventually(lambda: worker.names()["held-end"])
    assert set(worker.names().values()) == {1}
    eventually(lambda: worker.metric("jobyard_worker_restarts_total", reason="unhealthy") == 1)


def test_sigusr1_shows_what_each_thread_is_doing(start: Start, send: Send) -> None:
    worker = start("app", "--processes", "2", "--threads", "1").ready()
    send("hold", "held", 60)
    eventually(worker.runs)
    worker.tell(signal.SIGUSR1)
    eventually(lambda: len(_shown(worker)) == 2)
    assert sum("jobyard-jobs" in text and "in hold" in text for text in _shown(worker)) == 1
    assert worker.get("/readyz")[0] == 200
    worker.release("held")
    eventually(lambda: worker.names()["held-end"])


def _shown(worker: WorkerProcess) -> list[str]:
    messages = [json.loads(line)["message"] for line in worker.log().splitlines()]
    return [text for text in messages if text.startswith("What the threads of this process are doing")]


def _failing(answer: tuple[int, str]) -> tuple[int, str] | None:
    return answer if answer[0] == 503 else None
