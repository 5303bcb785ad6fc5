"""Tells in plain lines, for logs and for machines: one line for each job that ends."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Final, TextIO

from jobyard.broker.inspector import Job
from jobyard_operator.local.endings import Ending
from jobyard_operator.local.view import View
from jobyard_operator.local.wording import near, printable, progress, took
from jobyard_operator.local.yard import Places

WORDS: Final = {"completed": "completed", "dead": "dead letter", "cancelled": "cancelled", "failed": "retry"}

#: Seconds between two lines about the progress of one job.
_PROGRESS: Final = 1.0


class Plain:
    """Writes to standard output."""

    def __init__(self, output: TextIO | None = None) -> None:
        self._output = output if output is not None else sys.stdout
        self._lock = threading.Lock()
        self._told: dict[str, tuple[float, float]] = {}

    def ready(self, places: Places, samples: int) -> None:
        for line in where_to_look(places):
            self._write(line)
        if samples:
            self._write(f"{samples} sample jobs are enqueued.")

    def event(self, text: str) -> None:
        self._write(f"{'note':<12} {text}")

    def ended(self, ending: Ending, result: str) -> None:
        job = ending.job
        self._told.pop(job.id, None)
        self._job(WORDS[ending.kind], job, f"{took(ending):>8}  {result}")

    def unread(self, count: int) -> None:
        self._write(f"{'completed':<12} … and {count:,} more jobs")

    def look(self, view: View) -> None:
        now = time.monotonic()
        for job in view.running:
            percent, message = progress(job)
            told_at, told = self._told.get(job.id, (0.0, 0.0))
            if percent > told and now - told_at >= _PROGRESS:
                self._told[job.id] = (now, percent)
                self._job("running", job, f"{percent:.0f} % {message}")

    def closing(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _job(self, word: str, job: Job, text: str) -> None:
        self._write(f"{word:<12} {job.queue:<8} {printable(job.actor):<16} {printable(job.id, 256):<46}  {text}")

    def _write(self, line: str) -> None:
        with self._lock:
            print(line, file=self._output, flush=True)


def where_to_look(places: Places) -> list[str]:
    """Where everything is, in lines."""
    port = f" (port {places.wanted_port} is taken)" if places.taken_port else ""
    environment = near(places.environment)
    python = near(Path(sys.executable))
    code = "from jobyard.jobs import send_email; send_email.send(to='you@example.org', subject='Hi', body='Hello!')"
    return [
        f"Jobyard runs: Valkey {places.valkey}, workers for {', '.join(places.modules)}.",
        f"  Dashboard and REST API   {places.dashboard}{port}",
        f"  E-mails, all caught      {near(places.mail)}",
        f"  Images and reports       {places.storage}",
        f"  Log of the workers       {near(places.worker_log)}",
        "  Enqueue jobs of your own, in another terminal:",
        f"      set -a; . {environment}; set +a",
        f'      {python} -c "{code}"',
        "  Stop with Ctrl-C: running jobs end first, and nothing is lost.",
    ]
