"""One whole run of `jobyard chaos`: jobs go in while workers are killed; then everything is counted."""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from dramatiq import Message

from jobyard.broker import JobyardBroker, keys
from jobyard.broker.errors import BrokerUnavailableError
from jobyard.broker.policy import QueuePolicy
from jobyard.chaos import ACTOR, QUEUE
from jobyard.chaos.fleet import Fleet
from jobyard.chaos.record import Runs, analyse, read
from jobyard.chaos.report import Report
from jobyard.errors import JobyardError

#: Seconds that a job sleeps, at most.
_LONGEST_NAP: Final = 0.3
#: One kill in so many takes a whole worker.
_WORKERS: Final = 5
_DAY: Final = 86_400_000
_PAGE: Final = 500


class BusyError(JobyardError):
    """Another run has jobs in the queue."""


class Chaos:
    """One run.

    Args:
        jobs: how many.
        seconds: for how long they go in, and workers are killed.
        every: seconds between two kills, on the average.
        patience: seconds that all may take to end afterwards.
        say: is told what happens.
    """

    def __init__(
        self,
        broker: JobyardBroker,
        url: str,
        *,
        jobs: int,
        seconds: float,
        every: float,
        workers: int,
        processes: int,
        threads: int,
        patience: float,
        seed: int | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._broker = broker
        self._url = url
        self._jobs = jobs
        self._seconds = seconds
        self._every = every
        self._size = {"workers": workers, "processes": processes, "threads": threads}
        self._patience = patience
        self._dice = random.Random(seed)
        self._say = say
        self._accepted: list[str] = []
        self._resent = 0
        self._killed = [0, 0]

    def run(self, *, keep: bool = False) -> Report:
        """Do it.

        Args:
            keep: leave the queue behind. It stays in any case if something is wrong, so that it can be looked at.

        Raises:
            BusyError: another run is under way, or was killed: see `jobyard queue stats jobyard-chaos`.
            FleetError: the workers did not start.
            BrokerError: no answer from Redis.
        """
        self._claim()
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="jobyard-chaos-") as path:
            with Fleet(self._broker, self._url, Path(path), **self._size) as fleet:
                self._say(f"{self._jobs:,} jobs go in, and workers are killed, for {self._seconds:g} s …")
                self._rage(fleet)
                self._say(f"{sum(self._killed)} kills; waiting until all jobs have ended …")
                self._settle(fleet)
            runs = analyse(read(fleet.record), fleet.kills)
        report = self._count(runs, time.monotonic() - started)
        if report.sound and not report.unfinished and not keep:
            self._remove()
        return report

    def _claim(self) -> None:
        if QUEUE in self._broker.inspector.queues():
            stats = self._broker.inspector.stats(QUEUE)
            left = stats.waiting + stats.delayed + stats.parked + stats.active + stats.dead
            if left:
                raise BusyError(
                    f"queue {QUEUE!r} has {left} jobs: another run is under way, or was stopped. If none is: "
                    f"jobyard job cancel --queue {QUEUE} --all; jobyard dead discard --queue {QUEUE} --all"
                )
            self._remove()
        self._broker.configure(QUEUE, QueuePolicy(completed=self._jobs + 1, completed_ttl=_DAY))

    def _rage(self, fleet: Fleet) -> None:
        start = time.monotonic()
        kill_at = start + self._next_kill()
        while (now := time.monotonic()) < start + self._seconds or len(self._accepted) < self._jobs:
            due = min(self._jobs, int(self._jobs * min(1.0, (now - start) / self._seconds)) + 1)
            while len(self._accepted) < due:
                self._send()
            if now >= kill_at and now < start + self._seconds:
                whole = self._dice.randrange(_WORKERS) == 0
                kill = fleet.kill_worker if whole else fleet.kill_process
                self._killed[whole] += kill(self._dice)
                kill_at = now + self._next_kill()
            fleet.replenish()
            time.sleep(0.02)

    def _next_kill(self) -> float:
        return self._dice.uniform(0.5, 1.5) * self._every

    def _send(self) -> None:
        message: Message[Any] = Message(
            QUEUE, ACTOR, (round(self._dice.uniform(0, _LONGEST_NAP), 3),), {}, {}, f"chaos-{uuid.uuid4()}"
        )
        while True:
            try:
                self._broker.enqueue(message)
            except BrokerUnavailableError:
                # Whether it was accepted is not known; the same id again is safe.
                self._resent += 1
            else:
                self._accepted.append(message.message_id)
                return

    def _settle(self, fleet: Fleet) -> None:
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            fleet.replenish()
            stats = self._broker.inspector.stats(QUEUE)
            if stats.waiting + stats.delayed + stats.parked + stats.active == 0:
                return
            time.sleep(0.1)

    def _count(self, runs: Runs, seconds: float) -> Report:
        states: dict[str, str] = {}
        for start in range(0, len(self._accepted), _PAGE):
            page = self._accepted[start : start + _PAGE]
            states.update((job.id, job.state) for job in self._broker.inspector.jobs_by_id(QUEUE, page))
        stats = self._broker.inspector.stats(QUEUE)
        completed = {job_id for job_id, state in states.items() if state == "completed"}
        return Report(
            jobs=len(self._accepted),
            seconds=seconds,
            killed_processes=self._killed[0],
            killed_workers=self._killed[1],
            resent=self._resent,
            lost=tuple(job_id for job_id in self._accepted if job_id not in states),
            unfinished=tuple(job_id for job_id in self._accepted if job_id in states and job_id not in completed),
            unrun=tuple(sorted(completed - runs.ended)),
            ledger_lost=stats.lost,
            ledger_orphaned=stats.orphaned,
            runs=runs,
        )

    def _remove(self) -> None:
        """The queue has only ended jobs of ours: nothing of it stays behind."""
        client = self._broker.server.client()
        for name in self._broker.keys(QUEUE).all:
            client.unlink(name)
        client.srem(keys.registry(self._broker.namespace), QUEUE)
