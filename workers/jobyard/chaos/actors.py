"""What the workers of `jobyard chaos` run. Each run writes down that it starts and that it ends, in one write each."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Final

import jobyard
from jobyard.chaos import ACTOR, QUEUE, RECORD, RUNNER

#: Seconds between two looks whether the runner is there.
_LOOK: Final = 0.5

_record: Final = os.open(os.environ[RECORD], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _note(what: str, job_id: str) -> None:
    os.write(_record, f"{what} {job_id} {os.getpid()} {time.monotonic_ns()}\n".encode())


def _end_with(runner: int) -> None:
    """If the runner is killed, its workers must not stay behind."""
    while True:
        time.sleep(_LOOK)
        try:
            os.kill(runner, 0)
        except OSError:
            # The group is the worker that the runner had started, and nobody else.
            os.killpg(0, signal.SIGKILL)


# A crash counts as an attempt, and here there may be many.
@jobyard.actor(actor_name=ACTOR, queue_name=QUEUE, retry=jobyard.RetryPolicy(attempts=1000, initial=0.1, factor=1))
def nap(seconds: float) -> None:
    """Sleeps."""
    job = jobyard.current_job()
    assert job is not None
    job_id = job.id
    _note("start", job_id)
    time.sleep(seconds)
    _note("end", job_id)


_note("worker", "-")
threading.Thread(target=_end_with, args=(int(os.environ[RUNNER]),), daemon=True, name="chaos-leash").start()
