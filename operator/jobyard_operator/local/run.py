"""`jobyard up`: starts a yard, tells how it goes, and stops it: at Ctrl-C, or with `--once` when everything is done."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from jobyard.broker.errors import BrokerError
from jobyard.broker.inspector import Job, QueueStats
from jobyard_operator.local.directory import Directory
from jobyard_operator.local.ledger import Ledger
from jobyard_operator.local.plain import Plain
from jobyard_operator.local.samples import Outcome, is_meant_to_die
from jobyard_operator.local.screen import Screen
from jobyard_operator.local.stops import Stops
from jobyard_operator.local.view import Teller, View
from jobyard_operator.local.wording import duration, near, result
from jobyard_operator.local.yard import Options, Yard, check_can_start

_TICK: Final = 0.2
#: `--once` waits for delayed jobs that are due within so many milliseconds, for retries above all.
_SOON: Final = 60_000
#: Active jobs of a queue that are looked at, for their progress.
_SHOWN: Final = 10
#: Seconds after which some worker process should be up.
_WORKERS_START: Final = 20.0

INTERRUPTED: Final = 130


def run(options: Options) -> int:
    """Returns the exit status.

    Raises:
        JobyardError: it can't be started; the message says why and what to do.
    """
    check_can_start(options)
    with Directory(options.data) as directory, _logging_to(directory.logs / "up.log"), Stops() as stops:
        teller: Teller = Screen() if sys.stdout.isatty() else Plain()
        yard = Yard(options, directory, stops, teller.event)
        try:
            yard.start()
            if stops.requested():
                return INTERRUPTED if options.once else 0
            return _Session(yard, stops, teller).run()
        finally:
            teller.close()
            yard.stop()


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """What the parts in this process log goes into a file: the terminal is for people."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-8s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


class _Session:
    """One run of a yard, from the first job to the last."""

    def __init__(self, yard: Yard, stops: Stops, teller: Teller) -> None:
        self._yard = yard
        self._stops = stops
        self._teller = teller
        self._began = time.monotonic()
        self._expected: dict[str, Outcome] = {}
        self._unintended: list[str] = []
        self._stats: list[QueueStats] = []
        self._silent = False
        self._worked = False

    def run(self) -> int:
        options = self._yard.options
        if options.with_samples:
            self._expected = self._yard.enqueue_samples()
        samples = len(self._expected)
        self._teller.ready(self._yard.places, samples)
        trouble: str | None = None
        while not self._stops.wait(_TICK):
            self._tick()
            trouble = self._trouble()
            if trouble is not None:
                break
            if options.once and self._everything_is_done():
                break
        interrupted = self._stops.requested()
        if interrupted:
            self._teller.event("Stopping: running jobs end first. Ctrl-C again gives them back to their queues.")
        self._teller.closing()
        orderly = self._yard.drain(self._tick)
        self._tick()
        self._teller.close()
        return self._say_goodbye(interrupted, orderly, trouble, samples)

    def _tick(self) -> None:
        """Look, and tell what is new."""
        try:
            news = self._yard.endings.look()
            running = self._running(news.stats)
            workers = self._yard.processes()
        except BrokerError as error:
            if not self._silent:
                self._teller.event(f"Valkey does not answer: {error}")
            self._silent = True
            return
        self._silent = False
        self._stats = news.stats
        for ending in news.endings:
            self._teller.ended(ending, result(ending, self._yard.mailbox.file_of))
            if ending.kind != "failed":
                self._settle(ending.job)
        if news.unread:
            self._teller.unread(news.unread)
        self._worked = self._worked or bool(workers)
        self._teller.look(View(news.stats, workers, running))

    def _trouble(self) -> str | None:
        """Why there is no use in going on; None: there is."""
        complaint = self._yard.complaint()
        if complaint is not None:
            return str(complaint)
        options, running_for = self._yard.options, time.monotonic() - self._began
        if not self._worked and running_for > _WORKERS_START:
            said = f"no worker process is up after {_WORKERS_START:g} s; {self._log()}"
            if options.once:
                return said
            self._teller.event(said)
            self._worked = True  # It has been said.
        if options.once and running_for > options.timeout:
            left = list(self._expected)[:5] or [one.queue for one in self._stats if one.waiting or one.active]
            return f"not everything was done within {options.timeout:g} s (missing: {', '.join(left)}); {self._log()}"
        return None

    def _log(self) -> str:
        return f"the workers' log is {near(self._yard.workers.log)}:\n{self._yard.workers.last_lines()}"

    def _running(self, stats: list[QueueStats]) -> list[Job]:
        inspector = self._yard.broker.inspector
        return [job for one in stats if one.active for job in inspector.jobs(one.queue, "active", limit=_SHOWN)]

    def _settle(self, job: Job) -> None:
        """A job has ended: as it should?"""
        wanted = self._expected.pop(job.id, None)
        if wanted is None:
            # Left over from last time, or somebody's own. Whoever cancels one means it.
            if job.state == "cancelled":
                return
            wanted = "dead" if is_meant_to_die(job.id) else "completed"
        if job.state != wanted:
            last = job.last_error
            reason = f" ({last.get('error')}: {last.get('message')})" if job.state == "dead" and last else ""
            self._unintended.append(f"{job.id} is {job.state}, and not {wanted}{reason}")

    def _everything_is_done(self) -> bool:
        # Modules may enqueue jobs when workers import them.
        if not self._worked:
            return False
        for one in self._stats:
            soon = one.next_due is not None and one.next_due - one.now < _SOON
            if one.waiting or one.active or soon:
                return False
        # Some endings may have been too many to be read.
        for job_id in list(self._expected):
            job = self._yard.broker.inspector.job(job_id)
            if job is None:
                self._expected.pop(job_id)
                self._unintended.append(f"{job_id} is no longer known")
            elif job.ended:
                self._settle(job)
            else:
                return False
        return True

    def _say_goodbye(self, interrupted: bool, orderly: bool, trouble: str | None, samples: int) -> int:
        options = self._yard.options
        ledger = Ledger.of(self._stats)
        if trouble is not None:
            _say(f"Jobyard stops: {trouble}", sys.stderr)
        if not orderly:
            _say("The workers had to be killed; the jobs that they ran will run again next time.")
        _say(f"Stopped after {duration(time.monotonic() - self._began)}: {ledger}.")
        left = ledger.waiting + ledger.delayed + ledger.active
        if left:
            _say(f"{left:,} {'job is' if left == 1 else 'jobs are'} left; the same command goes on with them.")
        if options.once and not interrupted and trouble is None:
            if self._unintended:
                _say("Not as intended:\n  " + "\n  ".join(self._unintended), sys.stderr)
            elif samples:
                _say(f"All {samples} sample jobs ended as intended, one of them as a dead letter on purpose.")
        if ledger.lost:
            _say(f"{ledger.lost} jobs are lost. That is a bug: please report it.", sys.stderr)
        if trouble is not None or ledger.lost or (options.once and self._unintended):
            return 1
        return INTERRUPTED if options.once and interrupted else 0


def _say(text: str, output: TextIO | None = None) -> None:
    output = output if output is not None else sys.stdout
    output.write(text + "\n")
    output.flush()
