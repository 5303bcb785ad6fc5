"""The process that `jobyard worker` is: keeps so many children alive, and knows nothing of the application or of Redis.

One thread, one event loop, nothing that blocks: so it answers the probes and hears signals whatever its children do. It may be
process 1 of a container: it reaps whatever ends, and passes on signals.

Children are programs started afresh, not forks. That costs each 0.2 s and a few MiB that could be shared, and buys that a
reload really brings new code, that no connection, lock or thread ever crosses a fork, and that whatever breaks a child can't
have broken the supervisor before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
from importlib.metadata import version
from typing import Final, Literal

from jobyard.broker.caller import worker_token
from jobyard.worker.backoff import Backoff
from jobyard.worker.crew import Crew
from jobyard.worker.estates import Estates
from jobyard.worker.handle import Handle
from jobyard.worker.messages import Assignment, Figures, Notice, NotRevoked, Revoked
from jobyard.worker.oom import OutOfMemory
from jobyard.worker.probes import Probes
from jobyard.worker.pulse import Pulse
from jobyard.worker.settings import DEFAULT_PROBE_PORT, WorkerSettings
from jobyard.worker.staffing import Member, orders
from jobyard.worker.statuses import Status

VERSION: Final = version("jobyard")
#: A child that has said nothing for so many seconds is killed. After half of it, `/livez` fails; a little before, the child
#: itself shows where its threads are stuck, and ends.
SILENCE: Final = 60.0
#: Seconds from the end of a drain until a child that did not end is killed, and from then on until the supervisor ends.
KILL_MARGIN: Final = 2.0
LAST_MARGIN: Final = 2.5
#: Seconds that a child may take to exit when it has said that it ends.
EXIT_PATIENCE: Final = 5.0
#: Seconds after the end of the grace time until an undertaker is started, in case that a child will have to be killed.
UNDERTAKER_LEAD: Final = 0.5
#: Seconds until the next undertaker is tried when one could do nothing.
UNDERTAKER_PAUSE: Final = 5.0
#: Seconds between two looks at everything when nothing happens.
TICK: Final = 0.5

_logger = logging.getLogger("jobyard.worker")


class Supervisor:
    """One `jobyard worker`.

    Args:
        settings: what it shall do.
        silence: seconds, see `SILENCE`.
    """

    def __init__(self, settings: WorkerSettings, *, silence: float = SILENCE) -> None:
        self._settings = settings
        self._silence = silence
        self._crew = Crew(settings.process_count(), settings.threads)
        self._pulse = Pulse(self._crew, silence / 2)
        self._estates = Estates()
        self._oom = OutOfMemory()
        self._vacancies: list[Backoff] = []  # of places whose child has crashed
        self._undertaker_due = 0.0
        self._ever_ready = False
        self._status = Status.STOPPED
        self._stop_by = float("inf")  # loop time at which the grace time ends
        self._event = asyncio.Event()

    def run(self) -> Status:
        """Serve until told to stop. Returns the exit status."""
        return asyncio.run(self._run())

    # Life ----------------------------------------------------------------------------------------------------------

    async def _run(self) -> Status:
        settings, crew = self._settings, self._crew
        probes = Probes(self._pulse, settings.probe_addresses())
        if not await self._start_probes(probes):
            return Status.USAGE
        self._hear_signals()
        _logger.info(
            "Jobyard %s: %s of %s for %s.",
            VERSION,
            _count(crew.wanted, "process", "processes"),
            _count(settings.threads, "thread", "threads"),
            ", ".join(settings.modules),
        )
        try:
            while True:
                self._event.clear()
                await self._look_after()
                if self._finished():
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK):
                        await self._event.wait()
        finally:
            for child in crew.children.values():
                child.kill("the supervisor ends")
            await probes.stop()
        _logger.info("Stopped.")
        return self._status

    async def _start_probes(self, probes: Probes) -> bool:
        """False: they can't be served as the settings say."""
        given = self._settings.probe_port
        port = DEFAULT_PROBE_PORT if given is None else given
        if port == 0:
            return True
        try:
            address = await probes.start(port)
        except OSError as error:
            reason = error.strerror or error
            if given is not None:
                text = "Can't serve probes on port %d: %s. Choose another with --probe-port; 0: no probes."
                _logger.error(text, port, reason)
                return False
            _logger.warning("No probes: port %d can't be had (%s). Choose another with --probe-port.", port, reason)
        else:
            _logger.info("Probes and metrics at %s (/livez, /readyz, /metrics).", address)
        return True

    def _finished(self) -> bool:
        if not self._crew.stopping or self._crew.workers():
            return False
        over = self._now() >= self._stop_by + KILL_MARGIN + LAST_MARGIN
        return over or not (self._crew.children or self._estates)

    async def _look_after(self) -> None:
        """All that there may be to do, each time anything has happened."""
        now = self._now()
        self._oom.look(now)
        self._reap(now)
        for child in list(self._crew.children.values()):
            if child.gone(now):
                self._bury(child, now)
            else:
                self._check(child, now)
        if not self._crew.stopping:
            await self._staff(now)
        await self._see_to_estates(now)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # Signals -------------------------------------------------------------------------------------------------------

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._told_to_reload)
        loop.add_signal_handler(signal.SIGUSR1, self._told_to_show_stacks)
        loop.add_signal_handler(signal.SIGCHLD, self._event.set)

    def _told_to_stop(self, number: signal.Signals) -> None:
        """Drain; when told a second time, at once."""
        if self._crew.stopping:
            if self._now() < self._stop_by:
                _logger.info("%s: giving back what still runs.", number.name)
            self._drain_all(0)
        else:
            text = "%s: stopping. Jobs that run have %g s to finish; a second signal gives them back at once."
            _logger.info(text, number.name, self._settings.grace)
            self._drain_all(self._settings.grace)

    def _drain_all(self, grace: float) -> None:
        now = self._now()
        self._crew.stopping = True
        self._stop_by = min(self._stop_by, now + grace)
        for child in self._crew.workers():
            child.drain(grace, now)
        self._event.set()

    def _told_to_reload(self) -> None:
        """Replace all children, one after another, by ones that load the code afresh."""
        if not self._crew.stopping:
            _logger.info("SIGHUP: loading the code afresh.")
            for child in self._crew.staying():
                child.leaving = child.leaving or "reload"
            self._event.set()

    def _told_to_show_stacks(self) -> None:
        _logger.info("SIGUSR1: each process writes to the log what its threads are doing.")
        for child in self._crew.workers():
            child.show_stacks()

    # Children ------------------------------------------------------------------------------------------------------

    def _reap(self, now: float) -> None:
        """Take note of whatever has ended; as process 1 also of what nobody else waits for."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._crew.children.get(pid)
            if child is not None:
                child.died(status, now)

    def _check(self, child: Handle, now: float) -> None:
        """Whether a living child is well, and whether it shall be replaced."""
        if child.status is not None or child.killed is not None:
            return
        silent = child.silent_for(now)
        if child.ended:
            if silent > EXIT_PATIENCE:
                child.kill("it said that it ends, and did not exit")
        elif silent > self._silence:
            child.leaving = "unhealthy"
            child.kill(f"it had not answered for {silent:.0f} s")
        elif child.drained_by is not None:
            if now > child.drained_by + KILL_MARGIN:
                # If it is us who stop, that's not the fault of any job. But a job may be why it is unwell.
                child.kill("its time to finish was over", blameless=self._crew.stopping)
        elif child.report is not None and child.report.complaint is not None:
            _logger.error("Process %s is unwell and will be replaced: %s.", child.name(), child.report.complaint)
            child.leaving = "unhealthy"
            child.drain(self._settings.grace, now)
        elif child.leaving is None:
            child.leaving = child.outgrown()
            if child.leaving is not None:
                _logger.info(
                    "Process %s will be replaced: it has reached its limit of %s.", child.name(), child.leaving
                )

    async def _staff(self, now: float) -> None:
        """Start and drain, so that there are as many as wanted."""
        crew = self._crew
        members = [Member(one.pid, one.ready is not None, one.leaving is not None) for one in crew.staying()]
        todo = orders(members, crew.wanted)
        for pid in todo.drain:
            crew.children[pid].drain(None, now)
        # A place whose child has crashed is filled when its pause is over; the others at once.
        places = sorted(self._vacancies, key=lambda one: one.wait(now))[: todo.start]
        places = [*(Backoff() for _ in range(todo.start - len(places))), *places]
        self._vacancies = [one for one in places if one.wait(now) > 0]
        for backoff in places:
            if backoff.wait(now) == 0:
                await self._start("worker", backoff, now)

    async def _start(self, role: Literal["worker", "undertaker"], backoff: Backoff, now: float) -> None:
        settings = self._settings
        assignment = Assignment(
            version=VERSION,
            role=role,
            modules=list(settings.modules),
            path=list(settings.path),
            queues=list(settings.queues),
            threads=settings.threads,
            token=worker_token(),
            grace=settings.grace,
            silence=self._silence,
            log_format=settings.log_format,
            log_level=settings.log_level,
        )
        # Their limits differ a little, so that not all are replaced at the same time.
        share = random.uniform(0.9, 1.0)
        try:
            child = Handle(
                assignment,
                backoff,
                self._heard,
                now,
                jobs_limit=None if settings.max_jobs is None else max(1, int(settings.max_jobs * share)),
                memory_limit=None if settings.max_memory is None else int(settings.max_memory * 2**20 * share),
            )
            await child.start()
        except OSError as error:
            pause = backoff.crashed(now, 0)
            self._vacancies.append(backoff)
            _logger.error("Can't start a process: %s. Trying again in %g s.", error, pause)
        else:
            self._crew.children[child.pid] = child

    def _heard(self, child: Handle, notice: Notice | None) -> None:
        """A child has said something."""
        if isinstance(notice, Revoked):
            self._crew.recovered += self._estates.settled(notice.token, notice.back, notice.completed)
            self._undertaker_due = 0.0
        elif isinstance(notice, NotRevoked):
            self._estates.failed(notice.token, notice.reason, self._now())
        elif isinstance(notice, Figures):
            self._pulse.answered(notice)
        elif child.ready is not None and child.assignment.role == "worker":
            self._ever_ready = True
        self._event.set()

    def _bury(self, child: Handle, now: float) -> None:
        """A child is dead, and all that it said has been heard."""
        crew = self._crew
        del crew.children[child.pid]
        child.close()
        self._estates.left_by(child)
        if child.assignment.role == "undertaker":
            return
        if child.report is not None:
            crew.books.add(child.report)
        if child.failed is not None:
            reason = "failed"
            self._note_failure(child.name(), child.failed.text, child.failed.status)
        elif child.ended:
            reason = child.leaving or "stopped"
            _logger.info("Process %s has ended.", child.name())
        else:
            reason = "unhealthy" if child.leaving == "unhealthy" else "crash"
            self._note_crash(child, now)
        if not crew.stopping:
            crew.restarts[reason] += 1
            if reason in ("crash", "failed", "stopped", "unhealthy"):
                self._vacate(child, now)
            if reason in ("crash", "failed"):
                self._perhaps_give_up(child)

    def _note_failure(self, name: str, text: str, status: int | None) -> None:
        _logger.error("Process %s can't start: %s", name, text)
        if status is not None and not self._ever_ready and not self._crew.stopping:
            # Trying again can't help, and whoever started the worker is told most clearly by its end.
            self._status = Status(status)
            self._drain_all(0)

    def _note_crash(self, child: Handle, now: float) -> None:
        child.out_of_memory = child.was_killed_from_elsewhere() and self._oom.explains(now)
        jobs = child.doing()
        _logger.error("Process %s %s%s.", child.name(), child.end(), f" while it ran {jobs}" if jobs else "")
        if self._crew.stopping:
            self._status = max(self._status, Status.KILLED)
        if child.loaded:
            self._estates.add(child, now)

    def _vacate(self, child: Handle, now: float) -> None:
        """Its place is filled again: at once if it had lived long, otherwise later and later."""
        pause = child.backoff.crashed(now, now - child.born)
        self._vacancies.append(child.backoff)
        if pause:
            _logger.warning("The next process in its place starts in %g s.", pause)
        reloading = [one for one in self._crew.staying() if one.leaving == "reload"]
        if reloading and child.ready is None and child.leaving is None:
            _logger.error("The new code can't be loaded (see above): the processes with the old code go on.")
            for one in reloading:
                one.leaving = None

    def _perhaps_give_up(self, child: Handle) -> None:
        """What dies again and again and was never of any use is better seen from outside than tried for ever."""
        most, crew = self._settings.max_crashes, self._crew
        if most is None or crew.stopping or child.backoff.crashes < most or crew.jobs_ended():
            return
        last = child.failed.text if child.failed is not None else f"the last one {child.end()}"
        _logger.error("Giving up: %d processes died in a row before any job had ended; %s", child.backoff.crashes, last)
        self._status = Status.CRASHING
        self._drain_all(self._settings.grace)

    async def _see_to_estates(self, now: float) -> None:
        """Hand back the jobs of dead children. Where no sibling and no successor will do it soon, an undertaker does."""
        crew, estates = self._crew, self._estates
        undertakers = [one for one in crew.undertakers() if one.stays and one.ready is not None]
        estates.give([*crew.serving(), *undertakers], now)
        # When the grace time is over, whoever is still there will probably have to be killed.
        expected = crew.stopping and now > self._stop_by + UNDERTAKER_LEAD and bool(crew.workers())
        if not (estates or expected):
            for one in undertakers:
                one.drain(None, now)
        elif not crew.staying() and not crew.undertakers() and now >= self._undertaker_due:
            self._undertaker_due = now + UNDERTAKER_PAUSE
            await self._start("undertaker", Backoff(), now)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
