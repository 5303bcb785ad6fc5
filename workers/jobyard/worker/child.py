"""A worker process: what a supervisor starts, `python -m jobyard.worker.child`.

The main thread imports the application, starts the engine and, when told so, drains it. A second thread talks to the
supervisor and hears signals, so that it answers also while the first one is busy. Redis is the business of `Errands` and of
the engine.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import worker_name
from jobyard.broker.errors import BrokerRefusedError, BrokerUnavailableError
from jobyard.broker.link import Link
from jobyard.broker.workers import Announcement
from jobyard.worker import logs
from jobyard.worker.errands import Errands
from jobyard.worker.loading import LoadError, load
from jobyard.worker.memory import SharedMemory
from jobyard.worker.messages import (
    Assignment,
    Command,
    Drain,
    Ended,
    Failed,
    Inbox,
    Loaded,
    Notice,
    Ready,
    Report,
    frame,
    read_command,
)
from jobyard.worker.statuses import Status
from jobyard.worker.worker import JobyardWorker, boot

#: Seconds between two reports.
REPORT_INTERVAL: Final = 1.0
#: Seconds that an undertaker may take for its work.
UNDERTAKING: Final = 10.0
#: Milliseconds that stand for "however long it takes".
_FOREVER: Final = 10**10
#: An orphan that is not gone so many seconds after its drain should have ended is ended without being asked.
_ORPHAN_MARGIN: Final = 5.0
#: A process that is stuck shows where, and ends, shortly before its supervisor would kill it.
_WATCHDOG_SHARE: Final = 0.9

_PR_SET_PDEATHSIG: Final = 1
_STATM: Final = Path("/proc/self/statm")

_logger = logging.getLogger("jobyard.worker")


class Child:
    """This process.

    Args:
        control: socket to the supervisor.
        memory: descriptor of the memory that is shared with it.
    """

    def __init__(self, control: socket.socket, memory: int) -> None:
        self._control = control
        self._inbox = Inbox()
        self._sending = threading.Lock()
        self._assignment, self._first_commands = self._receive_assignment()
        self._memory = SharedMemory(memory, self._assignment.threads)
        self._started_at = time.time()
        self._worker: JobyardWorker | None = None
        self._errands: Errands | None = None
        self._drained_by = float("inf")
        self._draining = threading.Event()
        self._phase = threading.Lock()  # guards the step from loading, which can be broken off, to working
        self._loading = True
        self._attending = threading.Thread(target=self._attend, name="jobyard-supervised", daemon=True)

    def run(self) -> int:
        """All of its life. Returns the exit status."""
        assignment = self._assignment
        logs.configure(assignment.log_format, assignment.log_level)
        _log_what_nobody_caught()
        self._hear_signals()
        self._attending.start()
        own = version("jobyard")
        if assignment.version != own:
            return self._fail(
                f"this is Jobyard {own} by now, and its supervisor is still {assignment.version}: restart the worker",
                None,
            )
        try:
            broker = load(assignment.modules, assignment.path)
            errands = self._undertake(broker) if assignment.role == "undertaker" else self._work(broker)
        except LoadError as error:
            return self._fail(str(error), error.status)
        except BrokerRefusedError as error:
            return self._fail(str(error), Status.REFUSED)
        except ValueError as error:
            return self._fail(str(error), Status.USAGE)
        except BrokerUnavailableError:
            errands = None  # Told to stop while it waited for Redis.
        if errands is not None:
            # When Redis is away this can't be done, and the grace time is over by now.
            errands.stop(UNDERTAKING if assignment.role == "undertaker" else 1.0)
        self._send(self._report())
        self._send(Ended())
        if self._worker is not None and self._worker.busy:
            # The interpreter would wait for threads of a job that does not end.
            logging.shutdown()
            os._exit(Status.STOPPED)
        return Status.STOPPED

    # Roles ---------------------------------------------------------------------------------------------------------

    def _work(self, broker: JobyardBroker) -> Errands:
        """Serve until told to drain, and drain."""
        assignment = self._assignment
        _mention_forks(broker)
        _wait_for_redis(broker)
        boot(broker)
        worker = JobyardWorker(
            broker,
            queues=assignment.queues or None,
            worker_threads=assignment.threads,
            journal=self._memory.journal,
            token=assignment.token,
            marks=self._memory.marks,
        )
        with self._phase:
            # From here on there may be jobs to give back, and a drain goes its whole way.
            self._worker = worker
            self._loading = False
        self._send(Loaded())
        worker.start()
        dispatcher = worker.dispatcher
        assert dispatcher is not None
        _mention_strangers(dispatcher.queues, broker)
        errands = self._errands = Errands(
            broker, assignment.token, self._send, announcement=self._announcement, queues=dispatcher.queues
        )
        errands.start()
        self._send(self._report())
        _logger.info("Serving %s with %d threads.", ", ".join(dispatcher.queues), assignment.threads)
        self._send(Ready(dispatcher.queues))
        self._draining.wait()
        worker.stop(self._milliseconds_left())
        return errands

    def _undertake(self, broker: JobyardBroker) -> Errands:
        """See to the jobs of dead siblings, and do nothing else."""
        errands = self._errands = Errands(broker, self._assignment.token, self._send)
        self._loading = False
        errands.start()
        self._send(Ready([]))
        self._draining.wait()
        return errands

    def _fail(self, text: str, status: Status | None) -> int:
        self._send(Failed(text, status))
        return status or Status.KILLED

    # The supervisor ------------------------------------------------------------------------------------------------

    def _receive_assignment(self) -> tuple[Assignment, list[bytes]]:
        """The first message, and whatever came with it."""
        while True:
            data = self._control.recv(1 << 16)
            if not data:
                sys.exit(Status.STOPPED)  # The supervisor was gone before it could say anything.
            bodies = self._inbox.feed(data)
            if bodies:
                first = read_command(bodies[0])
                assert isinstance(first, Assignment)
                return first, bodies[1:]

    def _attend(self) -> None:
        """Hear the supervisor and signals, and report."""
        for body in self._first_commands:
            self._obey(read_command(body))
        supervised = True
        due = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._signals, selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                if now >= due:
                    self._send(self._report())
                    due = now + REPORT_INTERVAL
                    if supervised:
                        # A thread in C, which needs no interpreter lock: a job that holds it doesn't stop the watchdog.
                        faulthandler.dump_traceback_later(self._assignment.silence * _WATCHDOG_SHARE, exit=True)
                for key, _ in selector.select(due - now if due > now else 0):
                    if key.fileobj is self._signals:
                        self._take_signals()
                    elif not self._take_commands():
                        selector.unregister(self._control)
                        supervised = False
                        self._orphaned()

    def _take_commands(self) -> bool:
        """Do what the supervisor says. False: it is gone."""
        try:
            data = self._control.recv(1 << 16)
        except OSError:
            data = b""
        for body in self._inbox.feed(data):
            self._obey(read_command(body))
        return bool(data)

    def _obey(self, command: Command) -> None:
        if isinstance(command, Drain):
            self._drain(command.seconds)
        elif not isinstance(command, Assignment) and self._errands is not None:
            # The supervisor asks only who is ready, so there is somebody to do it.
            self._errands.put(command)

    def _orphaned(self) -> None:
        """The supervisor is dead. Nobody would look after this process, so it drains, and ends in any case."""
        grace = self._assignment.grace
        _logger.warning("The supervisor is gone: this process stops within %g s.", grace)
        faulthandler.dump_traceback_later(grace + _ORPHAN_MARGIN, exit=True)
        self._drain(grace)

    def _drain(self, seconds: float | None) -> None:
        if seconds is not None:
            self._drained_by = min(self._drained_by, time.monotonic() + seconds)
        with self._phase:
            if self._loading:
                # Nothing was fetched, and an import can't be told to stop.
                self._send(Ended())
                logging.shutdown()
                os._exit(Status.STOPPED)
            self._draining.set()
        if self._worker is not None:
            self._worker.hurry(self._milliseconds_left())
        if self._errands is not None:
            self._errands.announce()

    def _milliseconds_left(self) -> int:
        left = self._drained_by - time.monotonic()
        return _FOREVER if left == float("inf") else max(0, int(left * 1000))

    def _send(self, notice: Notice) -> None:
        try:
            with self._sending:
                self._control.sendall(frame(notice))
        except OSError:
            pass  # It is gone; the reading side sees that as well, and acts on it.

    def _report(self) -> Report:
        worker, errands = self._worker, self._errands
        if worker is None:
            return Report(0, None, None, _resident(), [], [], 0, 0)
        tally = worker.tally
        # Copies are taken in one step each; job threads go on counting.
        outcomes = [(*key, count) for key, count in tally.outcomes.copy().items()]
        durations = [(*key, list(counts)) for key, counts in tally.durations.copy().items()]
        complaint = worker.complaint()
        if complaint is None and errands is not None and not self._draining.is_set() and not errands.alive():
            complaint = "thread jobyard-errands has died"
        redis = None if errands is None else errands.redis and not worker.outage
        return Report(worker.busy, redis, complaint, _resident(), outcomes, durations, tally.stale, tally.evicted)

    def _announcement(self) -> Announcement:
        worker = self._worker
        assert worker is not None
        assert worker.dispatcher is not None
        totals = worker.tally.totals.copy()
        (completed, took), (retried, lost), (died, wasted) = (
            totals.get(outcome, (0, 0.0)) for outcome in ("completed", "retry", "dead")
        )
        return Announcement(
            name=worker_name(),
            pod=os.environ.get("JOBYARD_POD_NAME") or None,
            queues=worker.dispatcher.queues,
            actors=sorted(worker.broker.actors),
            threads=worker.worker_threads,
            running=worker.running_ids(),
            draining=self._draining.is_set(),
            completed=completed,
            failed=retried + died,
            seconds=took + lost + wasted,
            started_at=int(self._started_at * 1000),
            version=version("jobyard"),
        )

    # Signals -------------------------------------------------------------------------------------------------------

    def _hear_signals(self) -> None:
        """Have signals told to the attending thread: it hears them also while this one is inside C code."""
        self._signals, told = socket.socketpair()
        self._signals.setblocking(False)
        told.setblocking(False)
        self._told = told  # kept open
        signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _nothing)
        # A terminal's hang-up is for the supervisor.
        signal.signal(signal.SIGHUP, _nothing)
        signal.signal(signal.SIGUSR1, _nothing)

    def _take_signals(self) -> None:
        for number in self._signals.recv(4096):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._drain(self._assignment.grace)
            elif number == signal.SIGUSR1:
                _logger.info("What the threads of this process are doing:\n%s", _stacks())


def _nothing(number: int, frame: FrameType | None) -> None:
    """A handler, so that Python tells the attending thread; and none that programs which jobs start would inherit."""


def _die_with_the_supervisor() -> None:
    """Have the kernel send SIGTERM when the supervisor dies, however that happens. Linux only; elsewhere, and if the
    supervisor is dead already, the end of the socket tells it as well."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _log_what_nobody_caught() -> None:
    def caught(kind: Any, error: Any, trace: Any) -> None:
        _logger.critical("This process ends because of an error that nobody caught.", exc_info=(kind, error, trace))

    def caught_in_thread(what: threading.ExceptHookArgs) -> None:
        if what.exc_type is not SystemExit and what.exc_value is not None:
            name = what.thread.name if what.thread is not None else "?"
            _logger.critical(
                "Thread %s ends because of an error that nobody caught.",
                name,
                exc_info=(what.exc_type, what.exc_value, what.exc_traceback),
            )

    sys.excepthook = caught
    threading.excepthook = caught_in_thread


def _wait_for_redis(broker: JobyardBroker) -> None:
    """Return when Redis answers. Nothing is held yet, so that being told to stop ends the process at once.

    Raises:
        BrokerRefusedError: it refuses us.
    """
    link = Link(broker.server, patience=0)
    pause = 0.05
    told = False
    try:
        while True:
            try:
                link.command(b"PING")
            except BrokerUnavailableError as error:
                if not told:
                    _logger.error("%s. Waiting for it.", error)
                    told = True
                time.sleep(pause)
                pause = min(1.0, 2 * pause)
            else:
                break
    finally:
        link.close()
    if told:
        _logger.info("Redis is there.")


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found = []
    for ident, at in sys._current_frames().items():
        lines = "".join(traceback.format_stack(at))
        found.append(f"{names.get(ident, ident)}:\n{lines}")
    return "".join(sorted(found)).rstrip()


def _mention_forks(broker: JobyardBroker) -> None:
    for one in broker.middleware:
        if getattr(one, "forks", None):
            _logger.warning(
                "Middleware %s wants processes of its own, which Dramatiq's command line starts and this one does not. "
                "(Metrics are served at --probe-port.)",
                type(one).__name__,
            )


def _mention_strangers(queues: list[str], broker: JobyardBroker) -> None:
    declared = {actor.queue_name for actor in broker.actors.values()}
    strange = [name for name in queues if name not in declared]
    if strange:
        _logger.warning(
            "No actor of these modules is on %s: jobs that lie there can't run here. Is the name right?",
            ", ".join(strange),
        )


def _resident() -> int:
    """Bytes of memory that this process holds; 0: unknown."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def main() -> NoReturn:
    """Be the process that the command line says."""
    parser = argparse.ArgumentParser(description="A process of `jobyard worker`, which starts it. Not for people.")
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--memory", type=int, required=True)
    # Only to be seen in lists of processes.
    parser.add_argument("modules", nargs="*")
    arguments = parser.parse_args()
    _die_with_the_supervisor()
    for descriptor in (arguments.control, arguments.memory):
        # Not for programs that jobs start.
        os.set_inheritable(descriptor, False)
    sys.exit(Child(socket.socket(fileno=arguments.control), arguments.memory).run())


if __name__ == "__main__":
    main()
