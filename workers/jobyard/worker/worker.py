"""One worker process's engine: threads that run jobs, one call that feeds them, and somebody who looks after both.

It knows nothing of other processes and of signals; that is the supervisor's and the child's part.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Any, Final

import dramatiq
from dramatiq.logging import get_logger
from dramatiq.middleware import AsyncIO, TimeLimit

from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import Delivery
from jobyard.broker.dispatcher import LEASE, LONGEST_UNSENT, Dispatcher
from jobyard.broker.errors import BrokerError, BrokerUnavailableError
from jobyard.broker.exchange import Answer
from jobyard.broker.job_logs import LogSender
from jobyard.broker.progress import Reporter
from jobyard.errors import Cancelled
from jobyard.worker import capture
from jobyard.worker.caretaker import Caretaker
from jobyard.worker.interrupts import Seat
from jobyard.worker.marks import Mark
from jobyard.worker.runner import Runner
from jobyard.worker.tally import Tally

#: The longest pause between two tries while Redis is away, in seconds.
LONGEST_PAUSE: Final = 1.0


class JobyardWorker(dramatiq.Worker):
    """Fetches and runs jobs in this process. One a process.

    Args:
        queues: names of the queues to serve; None: all that are declared when it starts.
        worker_threads: 1: jobs run in the thread that fetches them, which is best for short ones. More: for jobs that wait
            for other systems.
        lease: seconds for which a job is this process's without a sign of life.
        journal: memory that outlives this process, for what it completes and has not delivered; see `broker.journal`.
        token: the worker's name in fences; None: a new one. Who looks after this process chooses it, to know it in any case.
        marks: where each thread notes which job it runs, in memory that outlives this process.
    """

    broker: JobyardBroker

    def __init__(
        self,
        broker: JobyardBroker,
        *,
        queues: Iterable[str] | None = None,
        worker_threads: int = 8,
        lease: float = LEASE,
        journal: memoryview | None = None,
        token: str | None = None,
        marks: Sequence[Mark] = (),
        worker_timeout: int = 1000,
    ) -> None:
        super().__init__(
            broker, queues=set(queues or ()) or None, worker_threads=worker_threads, worker_timeout=worker_timeout
        )
        if worker_threads < 1:
            raise ValueError(f"a worker needs at least one thread, not {worker_threads}")
        self.logger = get_logger(__name__, type(self))
        self.tally = Tally()
        self.seats = [Seat() for _ in range(worker_threads)]
        self.dispatcher: Dispatcher | None = None
        self._lease = lease
        self._journal = journal
        self._token = token
        for seat, mark in zip(self.seats, marks, strict=False):
            seat.mark = mark
        self._deadline = float("inf")  # of `stop`
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()  # fetch no more
        self._paused = threading.Event()
        self._finished = threading.Event()  # some job ended
        self._ready: SimpleQueue[bool] = SimpleQueue()  # one token for each job in the buffer
        self._waiting = False
        self._outage_pause = 0.0
        self._log_sender: LogSender | None = None
        self._log_sink: Callable[[Delivery], None] | None = None

    # Life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads.

        Raises:
            BrokerRefusedError: this Redis can't be trusted with jobs, or refuses us.
            ValueError: there is no queue to serve.
        """
        queues = sorted(self.consumer_whitelist or self.broker.get_declared_queues())
        if not queues:
            raise ValueError("no queue to serve: no actor is declared, and no queue was named")
        self.provide_event_loop()
        self.broker.emit_before("worker_boot", self)
        self._check_redis(queues)
        self.dispatcher = Dispatcher(
            self.broker, queues, self.worker_threads, lease=self._lease, journal=self._journal, token=self._token
        )
        self.runner = Runner(self.broker, self.tally)
        self.reporter = Reporter(self.broker, self.dispatcher.token)
        self._start_job_logs(self.dispatcher.token)
        self.caretaker = Caretaker(self.dispatcher, self.seats, self._flush, self.logger)
        if self.worker_threads == 1:
            self._spawn("jobyard-jobs", self._serve_inline)
        else:
            for number, seat in enumerate(self.seats, 1):
                self._spawn(f"jobyard-jobs-{number}", self._serve_seat, seat)
            self._spawn("jobyard-fetch", self._feed)
        self.caretaker.start()
        self.broker.emit_after("worker_boot", self)

    def stop(self, timeout: int = 600_000) -> None:
        """Drain: fetch no more, give unstarted jobs back, let running ones finish, deliver everything.

        Args:
            timeout: milliseconds. What still runs then goes back to its old position, and the attempt doesn't count.
        """
        self.hurry(timeout)
        self.broker.emit_before("worker_shutdown", self)
        dispatcher = self.dispatcher
        if dispatcher is not None:
            dispatcher.waiter.stop()
            self._finished.set()
            dispatcher.return_unstarted()
            self._flush()
            self.caretaker.notify_shutdown(self.runner.wants_shutdown_notice)
            for _ in self.seats:
                self._ready.put(False)
            for thread in self._threads:
                # In small steps, since `hurry` may shorten the time.
                while thread.is_alive() and (left := self._deadline - time.monotonic()) > 0:
                    thread.join(min(left, 0.2))
            self._leave_nothing(dispatcher)
            self.caretaker.stop()
            dispatcher.close()
            self.reporter.close()
            if self._log_sender is not None:
                capture.end()
                self._log_sender.stop()
        self.broker.emit_after("worker_shutdown", self)

    def hurry(self, timeout: int) -> None:
        """Fetch no more. A `stop` that is under way ends within `timeout` milliseconds, a `start` that waits for Redis gives up.

        Returns at once; for another thread than the one that starts and stops the worker.
        """
        self._deadline = min(self._deadline, time.monotonic() + timeout / 1000)
        self._stopping.set()

    def pause(self) -> None:
        """Fetch no more for now; running jobs finish."""
        self._paused.set()

    def resume(self) -> None:
        """Undo `pause`."""
        self._paused.clear()

    def join(self) -> None:
        """Wait until this worker holds no job. For tests; see `broker.join` for the whole queue."""
        dispatcher = self.dispatcher
        while dispatcher is not None and (dispatcher.held or dispatcher.pending):
            time.sleep(0.01)

    @property
    def token(self) -> str:
        """The worker's name in fences; '' before it has started."""
        return self.dispatcher.token if self.dispatcher is not None else ""

    @property
    def busy(self) -> int:
        """How many jobs run now."""
        return sum(seat.delivery is not None for seat in self.seats)

    @property
    def outage(self) -> bool:
        """Whether Redis could not be reached when it was last tried."""
        return self._outage_pause > 0

    def running_ids(self) -> list[str]:
        """The ids of the jobs that run now."""
        current = (seat.delivery for seat in self.seats)
        return [delivery.message_id for delivery in current if delivery is not None]

    def complaint(self) -> str | None:
        """What is wrong with this process, so that it should be restarted; None: nothing."""
        if self.dispatcher is None or self._stopping.is_set():
            return None
        threads = [*self._threads, self.caretaker.thread]
        dead = [thread.name for thread in threads if not thread.is_alive()]
        if dead:
            return f"thread {dead[0]} has died"
        if self.caretaker.silent_for > 60:
            return f"nobody has looked after the jobs for {self.caretaker.silent_for:.0f} s"
        return None

    # Running jobs --------------------------------------------------------------------------------------------------

    def _serve_inline(self) -> None:
        """Fetch and run in one thread."""
        dispatcher, runner, seat = self._dispatcher(), self.runner, self.seats[0]
        take, settle = dispatcher.take, dispatcher.settle
        monotonic = time.monotonic
        # It is both kinds of thread that Dramatiq has.
        self.broker.emit_after("consumer_thread_boot", threading.current_thread())
        self.broker.emit_after("worker_thread_boot", threading.current_thread())
        called = monotonic()
        while True:
            delivery = take()
            if delivery is None:
                if self._stopping.is_set():
                    break
                answer = self._fetch()
                called = monotonic()
                if not dispatcher.buffer:
                    self._idle(answer)
                continue
            self._run(runner, delivery, seat)
            settle(delivery)
            if monotonic() - called >= LONGEST_UNSENT:
                if self._stopping.is_set():
                    self._flush()
                else:
                    self._fetch()
                called = monotonic()
        self.broker.emit_before("worker_thread_shutdown", threading.current_thread())
        self.broker.emit_before("consumer_thread_shutdown", threading.current_thread())

    def _serve_seat(self, seat: Seat) -> None:
        """Run what `_feed` fetches."""
        dispatcher, runner = self._dispatcher(), self.runner
        self.broker.emit_after("worker_thread_boot", threading.current_thread())
        while self._ready.get():
            delivery = dispatcher.take()
            if delivery is None:
                continue  # It was given back meanwhile.
            self._run(runner, delivery, seat)
            dispatcher.settle(delivery)
            self._finished.set()
            if self._waiting or self._stopping.is_set():
                self._flush()
        self.broker.emit_before("worker_thread_shutdown", threading.current_thread())

    def _feed(self) -> None:
        """Keep the seats supplied."""
        dispatcher = self._dispatcher()
        slots = self.worker_threads
        self.broker.emit_after("consumer_thread_boot", threading.current_thread())
        while not self._stopping.is_set():
            answer = self._fetch()
            for _ in answer.deliveries if answer is not None else ():
                self._ready.put(True)
            if dispatcher.room() > 0:
                # There is room: ask until there is nothing more, then wait for Redis to call.
                if answer is None or not answer.deliveries:
                    self._idle(answer)
                continue
            # Busy: call again when the seats run short of jobs, or before what is finished gets old.
            while not self._stopping.is_set():
                self._finished.wait(1.0 if len(dispatcher.buffer) <= slots else LONGEST_UNSENT / 4)
                self._finished.clear()
                if len(dispatcher.buffer) <= slots or dispatcher.unsent_for() > LONGEST_UNSENT / 2:
                    break
        self.broker.emit_before("consumer_thread_shutdown", threading.current_thread())

    def _run(self, runner: Runner, delivery: Delivery, seat: Seat) -> None:
        if delivery.cancelled:
            delivery.stuff_exception(Cancelled())
            return
        delivery.reporter = self.reporter.send
        delivery.log_sink = self._log_sink
        mark = seat.mark
        if mark is None:
            runner.run(delivery, seat)
        else:
            mark.set(delivery.message_id)
            runner.run(delivery, seat)
            mark.clear()
        # Dramatiq's reason: a reference to the exception keeps every frame of the job alive. The end of the run still needs
        # its text, and nothing more.
        if delivery._exception is not None and delivery._exception.__traceback__ is not None:
            delivery.keep_error()

    def _fetch(self) -> Answer | None:
        """One exchange; None while Redis is away."""
        dispatcher = self._dispatcher()
        if self._paused.is_set():
            self._flush()
            return None
        try:
            answer = dispatcher.fetch()
        except BrokerError as error:
            self._outage(error)
            return None
        if self._outage_pause:
            self._outage_pause = 0.0
            self.logger.info("Redis is back.")
        if answer.deliveries:
            self.caretaker.jobs_came()
        self._note(answer)
        return answer

    def _idle(self, answer: Answer | None) -> None:
        """Nothing to run: wait for Redis to call."""
        if answer is None:
            self._stopping.wait(self._outage_pause or 0.1)
            return
        self._waiting = True
        try:
            if self._dispatcher().pending:
                self._flush()
            self._dispatcher().waiter.wait(answer.wait)
        except BrokerError as error:
            self._outage(error)
            self._stopping.wait(self._outage_pause)
        finally:
            self._waiting = False

    def _flush(self) -> None:
        try:
            self._note(self._dispatcher().flush())
        except BrokerError as error:
            self._outage(error)

    def _note(self, answer: Answer) -> None:
        if answer.stale:
            self.tally.stale += answer.stale
            self.logger.warning("%d finished jobs were no longer ours: their lease had run out.", answer.stale)
        if answer.evicted:
            self.tally.evicted += answer.evicted
            self.logger.warning("%d dead letters were evicted by the retention policy.", answer.evicted)

    def _outage(self, error: BrokerError) -> None:
        if not self._outage_pause:
            self.logger.error("%s. Finished jobs are kept and delivered when it is back.", error)
        self._outage_pause = min(LONGEST_PAUSE, self._outage_pause * 2 or 0.05)

    # Helpers of start and stop -------------------------------------------------------------------------------------

    def _check_redis(self, queues: list[str]) -> None:
        pause = 0.1
        while True:
            try:
                self.broker.check()
                self.broker.announce(queues)
                return
            except BrokerUnavailableError as error:
                self.logger.error("%s. Trying again.", error)
                if self._stopping.wait(pause):
                    raise
                pause = min(LONGEST_PAUSE, 2 * pause)

    def _start_job_logs(self, token: str) -> None:
        level = capture.JobLogSettings().job_logs
        if level != "off":
            self._log_sender = LogSender(self.broker, token)
            self._log_sink = self._log_sender.start()
            capture.begin(level)

    def provide_event_loop(self) -> None:
        """Async actors need Dramatiq's AsyncIO middleware; without it they would fail when they are called."""
        wrapped = (getattr(actor.fn, "__wrapped__", None) for actor in self.broker.actors.values())
        if any(inspect.iscoroutinefunction(fn) for fn in wrapped) and not any(
            isinstance(one, AsyncIO) for one in self.broker.middleware
        ):
            self.broker.add_middleware(AsyncIO())

    def _leave_nothing(self, dispatcher: Dispatcher) -> None:
        """Deliver what is finished, and give back what isn't."""
        left = list(dispatcher.held.values())
        if left:
            self.logger.warning("%d jobs are still running and go back to their queue.", len(left))
            dispatcher.give_back(left)
        self._flush()
        while dispatcher.pending:
            if time.monotonic() >= self._deadline:
                self.logger.error("Redis is away: what is not delivered runs again when the leases end.")
                return
            time.sleep(0.1)
            self._flush()

    def _dispatcher(self) -> Dispatcher:
        assert self.dispatcher is not None
        return self.dispatcher

    def _spawn(self, name: str, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


def boot(broker: JobyardBroker) -> None:
    """What Dramatiq's command line does once in every process before a worker starts.

    Our worker enforces time limits itself, so that middleware's own thread is not started.
    """
    for middleware in reversed(broker.middleware):
        if type(middleware) is not TimeLimit:
            middleware.after_process_boot(broker)
