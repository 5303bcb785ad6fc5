"""`MemoryBroker`: Jobyard's broker for unit tests. Jobs run in the test, when it says so, and time is what it says.

    broker = MemoryBroker()
    dramatiq.set_broker(broker)

    def test_an_unpaid_order_is_cancelled_after_a_day():
        remind.send_with_options(args=(7,), delay=timedelta(days=1))
        broker.run()
        assert not mails
        broker.advance(timedelta(days=1))
        assert mails == ["7 is not paid"]

It is the real broker on the real scripts, with everything that they do: priorities, delays, retries, limits, unique jobs, expiry,
batches, dead letters, cancel. Only the server is another one, in this process, and so is the worker: one job after the other, in
the thread that calls `run`, without interrupts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from dramatiq import Message
from dramatiq.middleware import Middleware

from jobyard.broker import JobyardBroker
from jobyard.broker import keys as layout
from jobyard.broker.caller import new_token
from jobyard.broker.delivery import Delivery
from jobyard.broker.dispatcher import LEASE
from jobyard.broker.exchange import Answer, Exchange
from jobyard.broker.inspector import Job
from jobyard.broker.link import Link
from jobyard.broker.notices import deliver
from jobyard.broker.progress import Reporter
from jobyard.broker.states import ENDED, STATES, State
from jobyard.middleware.retries import JobRetries
from jobyard.testing.clock import Clock
from jobyard.testing.server import MemoryServer
from jobyard.worker import capture
from jobyard.worker.interrupts import Seat
from jobyard.worker.runner import Runner
from jobyard.worker.tally import Tally
from jobyard.worker.worker import JobyardWorker, boot

#: Runs in one call of `run` or `advance`, beyond which something goes round in circles.
MOST_RUNS: Final = 100_000
#: Jobs of one state and queue in a list.
_MOST_LISTED: Final = 100_000
_LONG_AGO: Final = float("-inf")
#: A time after all others, in milliseconds.
_NEVER: Final = 2**62


class MemoryBroker(JobyardBroker):
    """A broker for unit tests: no Redis, no threads, no waiting.

    Args:
        middleware: as for `JobyardBroker`.
        fail_fast: whether `run` and `advance` raise what a job died of.
        jitter: whether waits before retries are shortened or lengthened at random, as they really are.
        now: what time it is in the beginning; None: what time it really is.
        options: what else `JobyardBroker` takes.

    Its clock stands still until it is moved; but for each further job that is handed in, or run, in the same millisecond it goes
    on by one, so that the order is never a matter of chance. It is the clock of delays, retries, rates, expiry, deadlines and
    retention. The code of a job sees the real time, and so does what Dramatiq measures by itself (`max_age`). No time
    limit or cancel interrupts a running job; `current_job().cancelled` is there.
    """

    server: MemoryServer

    def __init__(
        self,
        *,
        middleware: list[Middleware] | None = None,
        fail_fast: bool = True,
        jitter: bool = False,
        now: datetime | None = None,
        **options: Any,
    ) -> None:
        self._start = now
        self._clock = Clock(now)
        self._jitter = jitter
        self.fail_fast = fail_fast
        self._token = new_token()
        self._exchange: Exchange | None = None
        self._worker: JobyardWorker | None = None
        self._running: Delivery | None = None
        self._stepped: dict[str, int] = {}
        super().__init__("memory:", middleware=middleware, **options)
        self._seat = Seat()

    def _connect_to(self, url: str, options: dict[str, Any]) -> MemoryServer:
        return MemoryServer(self._clock, self._heard)

    def add_middleware(self, middleware: Middleware, **where: Any) -> None:
        super().add_middleware(middleware, **where)
        for one in self.middleware:
            if isinstance(one, JobRetries):
                one.jitter = self._jitter

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        self._step("enqueue")
        return super().enqueue(message, delay=delay)

    # Time ----------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """What time it is, in UTC."""
        return self._clock.now

    def run(self, *, fail_fast: bool | None = None) -> int:
        """Run everything that is due, by priority and then in the order in which it came, and whatever follows from it.

        Returns:
            How many attempts that were.

        Raises:
            Exception: what the first job died of, after all others have run; unless it is of the kind that its actor `throws`, or
                `fail_fast` is False.
            RuntimeError: jobs enqueue jobs without end; or a job calls this.
        """
        return self._until(self._clock.milliseconds, fail_fast)

    def advance(self, by: float | timedelta, *, fail_fast: bool | None = None) -> int:
        """Let time pass, and run each job when it is due. As `run`.

        Args:
            by: seconds, or a timedelta.
        """
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        if seconds < 0:
            raise ValueError(f"time goes forward only, not by {seconds:g} s")
        return self._until(self._clock.milliseconds + round(seconds * 1000), fail_fast)

    def advance_to(self, when: datetime, *, fail_fast: bool | None = None) -> int:
        """Let time pass until `when`, which has a time zone. As `advance`."""
        if when.tzinfo is None:
            raise ValueError("the time to advance to needs a time zone: datetime(…, tzinfo=UTC)")
        return self.advance(when - self.now, fail_fast=fail_fast)

    # Looking -------------------------------------------------------------------------------------------------------

    def jobs(self, state: State | None = None, *, queue: str | None = None, actor: str | None = None) -> list[Job]:
        """The jobs in a state, or in any: those that wait in the order in which they start, ended ones in the order in which
        they ended."""
        found: list[Job] = []
        for one in STATES if state is None else (state,):
            some: list[Job] = []
            for name in self.inspector.queues() if queue is None else [queue]:
                some += self.inspector.jobs(name, one, limit=_MOST_LISTED)
            if one in ENDED:
                some.sort(key=lambda job: job.ended_at or 0)
            found += some
        return [job for job in found if actor is None or job.actor == actor]

    @property
    def completed(self) -> list[Job]:
        """The jobs that have succeeded, in the order in which they did."""
        return self.jobs("completed")

    @property
    def dead(self) -> list[Job]:
        """The dead letters, in the order of their deaths. `dead_letters` is what can be done with them."""
        return self.jobs("dead")

    def reset(self) -> None:
        """Forget all jobs and policies, and set the clock to where it was. For the next test."""
        self._not_inside("reset")
        self.server.clear()
        self._clock.milliseconds = Clock(self._start).milliseconds
        self._stepped.clear()
        self._exchange = None
        self._producer.forget()

    def close(self) -> None:
        """End what middleware has started."""
        worker, self._worker = self._worker, None
        if worker is not None:
            self.emit_before("worker_shutdown", worker)
            self.emit_after("worker_shutdown", worker)
            self.emit_before("process_shutdown")
            self.emit_after("process_shutdown")
        super().close()

    # Running -------------------------------------------------------------------------------------------------------

    def _until(self, end: int, fail_fast: bool | None) -> int:
        self._not_inside("run")
        deaths: list[BaseException] = []
        runs = 0
        with self._capturing():
            while True:
                answer = self._ask()
                runs += len(answer.deliveries)
                if runs > MOST_RUNS:
                    raise RuntimeError(f"more than {MOST_RUNS} runs: it seems that jobs enqueue each other without end")
                for delivery in answer.deliveries:
                    self._perform(delivery, deaths)
                if answer.posted:
                    deliver(self, answer.posted, self.link)
                elif not answer.deliveries and not self._woken(answer):
                    due = min(self._due(answer), end)
                    if due <= self._clock.milliseconds:
                        break
                    self._clock.milliseconds = due
        if deaths and (self.fail_fast if fail_fast is None else fail_fast):
            raise deaths[0]
        return runs

    def _ask(self) -> Answer:
        """Deliver what has ended, and fetch one job of whatever queues there are by now."""
        queues = sorted({*self.get_declared_queues(), *self.inspector.queues()})
        if not queues:
            return Answer()
        exchange = self._exchange
        if exchange is None or exchange.queues != queues:
            if exchange is not None and exchange.pending:
                return exchange.call(0)
            # Another caller, since an exchange counts its calls. The one before waits for nothing any more.
            self._token = new_token()
            exchange = self._exchange = Exchange(
                Link(self.server), self.namespace, queues, self._token, LEASE, None, self.protection
            )
            for name in queues:
                self.server.answer([b"DEL", self.keys(name)["timer"]])
        return exchange.call(1)

    def _due(self, answer: Answer) -> int:
        """When there is something to do again."""
        now = self._clock.milliseconds
        due = _NEVER if answer.wait is None else now + max(1, round(answer.wait * 1000))
        for name in self.inspector.queues():
            # In a paused queue no worker waits for them; it sees them when it looks, every few seconds.
            expires = self.keys(name)["expires"]
            for score in self.link.command(b"ZRANGE", expires, 0, 0, b"WITHSCORES", key=expires)[1::2]:
                due = min(due, max(now + 1, int(score)))
        return due

    def _woken(self, answer: Answer) -> bool:
        """Whether somebody is called to look again, as a worker would be."""
        names = [name for name in self.inspector.queues() if name not in answer.retired]
        return bool(names) and self.server.answer([b"DEL", *(self.keys(name)["wake"] for name in names)]) > 0

    def _step(self, what: str) -> None:
        """Something happens: not in the same millisecond as the last thing of its kind."""
        if self._stepped.get(what) == self._clock.milliseconds:
            self._clock.milliseconds += 1
        self._stepped[what] = self._clock.milliseconds

    def _perform(self, delivery: Delivery, deaths: list[BaseException]) -> None:
        reporter = Reporter(self, self._token)

        def report(of: Delivery, content: bytes) -> None:
            reporter.send(of, content)
            of._reported_at = _LONG_AGO  # Every report is kept: a test's jobs are quick.

        self._step("run")
        delivery.started_at = time.monotonic()
        delivery._reported_at = _LONG_AGO
        delivery.reporter = report
        delivery.log_sink = _with_the_end
        self._running = delivery
        try:
            self._runner().run(delivery, self._seat)
        finally:
            self._running = None
        error = delivery.error or delivery._exception
        if error is not None and delivery.outcome() == "dead" and not self._expected(delivery, error):
            deaths.append(error)
        assert self._exchange is not None
        self._exchange.settle(delivery)

    def _expected(self, delivery: Delivery, error: BaseException) -> bool:
        actor = self.actors.get(delivery.actor_name)
        throws = delivery.options.get("throws") or (actor.options.get("throws") if actor is not None else None)
        return throws is not None and isinstance(error, throws)

    def _runner(self) -> Runner:
        worker = self._worker
        if worker is None:
            worker = self._worker = JobyardWorker(self, worker_threads=1)
            worker.provide_event_loop()
            boot(self)
            self.emit_before("worker_boot", worker)
            worker.runner = Runner(self, Tally())
            self.emit_after("worker_boot", worker)
        worker.provide_event_loop()
        return worker.runner

    def _not_inside(self, what: str) -> None:
        if self._running is not None:
            raise RuntimeError(f"a job can't {what} the broker that runs it")

    def _heard(self, channel: bytes, message: bytes) -> None:
        """What a worker's listener does: somebody has cancelled the job that runs."""
        if self._running is not None and channel == layout.worker_channel(self.namespace, self._token):
            self._running.cancelled = True

    @contextmanager
    def _capturing(self) -> Iterator[None]:
        """What jobs log is kept with them, as in a worker."""
        level = capture.JobLogSettings().job_logs
        if level == "off":
            yield
            return
        capture.begin(level)
        try:
            yield
        finally:
            capture.end()


def _with_the_end(delivery: Delivery) -> None:
    """Nothing to do: lines that were not sent before are sent with the end of the run."""
