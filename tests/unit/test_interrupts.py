"""An interrupt hits the job and nothing else, at whatever moment it strikes; and no run is taken for done that was not run."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from dramatiq.middleware import Interrupt, Shutdown, TimeLimitExceeded

from jobyard.broker.delivery import Delivery
from jobyard.errors import Cancelled
from jobyard.worker.interrupts import Seat

RUNS = 5_000


def delivery(*args: Any) -> Delivery:
    made = Delivery("default", "job", 1, 1, b'["actor",[],{},{},0,5]', time.monotonic())
    made.args = args
    return made


class Striker:
    """Strikes whatever sits in the seat when its deadline is past, as fast as it can; as a worker does every 10 ms."""

    def __init__(self, seat: Seat, *interrupts: type[Interrupt]) -> None:
        self._seat = seat
        self._interrupts = interrupts
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._strike, daemon=True)
        self.struck = 0

    def __enter__(self) -> Striker:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(10)

    def _strike(self) -> None:
        seat = self._seat
        while not self._ended.is_set():
            current = seat.delivery
            if current is not None and time.monotonic() >= seat.deadline:
                self.struck += seat.strike(current, random.choice(self._interrupts))


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns as often as Python can, so that strikes land everywhere."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def work_like_middleware() -> int:
    """What a worker's thread does between two jobs: calls, loops, containers, locks. An interrupt here is a bug."""
    lock = threading.Lock()
    total = 0
    for number in range(20):
        with lock:
            total += len({number: str(number)})
    return total


@pytest.mark.usefixtures("impatient")
def test_a_strike_at_the_very_end_of_a_job_never_gets_out_of_it() -> None:
    seat = Seat()
    outcomes: Counter[str] = Counter()
    finished = 0

    def job(steps: int) -> str:
        nonlocal finished
        total = 0
        for step in range(steps):
            total += step
        if steps % 2:
            time.sleep(0)  # Lets the striker in, just before the end.
        finished += 1
        return "done"

    with Striker(seat, TimeLimitExceeded, Cancelled, Shutdown) as striker:
        deadline = time.monotonic() + 30
        while outcomes.total() < RUNS or (min(outcomes["done"], outcomes["interrupted"]) < 300):
            assert time.monotonic() < deadline, outcomes
            steps = random.randrange(1, 2_000)
            limit = random.random() * 60e-6
            result, error = seat.call(delivery(steps), time.monotonic() + limit, job)
            work_like_middleware()
            if error is None:
                assert result == "done"  # Never "completed" without having been run to its end.
                outcomes["done"] += 1
            else:
                assert isinstance(error, TimeLimitExceeded | Cancelled | Shutdown)
                assert result is None
                outcomes["interrupted"] += 1
            assert seat.delivery is None
            assert seat.deadline == float("inf")
    assert finished >= outcomes["done"]
    assert striker.struck >= outcomes["interrupted"]


class WatchedLock:
    """A lock that calls `before` when it is about to be taken, and `after` when it was released; each once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.before: Callable[[], object] | None = None
        self.after: Callable[[], object] | None = None

    def __enter__(self) -> None:
        before, self.before = self.before, None
        if before is not None:
            before()
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()
        after, self.after = self.after, None
        if after is not None:
            after()


@pytest.fixture
def lock() -> WatchedLock:
    return WatchedLock()


@pytest.fixture
def seat(lock: WatchedLock) -> Seat:
    seat = Seat()
    seat._lock = lock  # type: ignore[assignment] # the fault to be made: an interrupt at an exact moment
    return seat


def test_a_strike_before_the_job_has_begun_is_its_outcome(seat: Seat, lock: WatchedLock) -> None:
    """It was not run: taking that for success would lose it."""
    one = delivery()
    lock.after = lambda: seat.strike(one, TimeLimitExceeded)
    ran: list[int] = []
    result, error = seat.call(one, float("inf"), lambda: ran.append(1))
    assert (result, ran) == (None, [])
    assert isinstance(error, TimeLimitExceeded)
    work_like_middleware()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_strike_while_the_seat_is_left_changes_nothing_about_the_job(
    seat: Seat, lock: WatchedLock, moment: str
) -> None:
    one = delivery()
    tried: list[int] = []

    def strike() -> None:
        tried.append(1)
        # Left already, it is not struck at all; otherwise the interrupt arrives in here.
        assert not seat.strike(one, Cancelled) or moment == "before"

    def job() -> str:
        setattr(lock, moment, strike)
        return "done"

    assert seat.call(one, float("inf"), job) == ("done", None)
    assert tried
    work_like_middleware()


def struck_while(
    job: Callable[[threading.Event], Any], interrupt: type[Interrupt] = TimeLimitExceeded
) -> tuple[Any, Any]:
    """Run a job that says when it is ready, and strike it then."""
    seat = Seat()
    ready = threading.Event()
    one = delivery(ready)

    def strike() -> None:
        ready.wait(10)
        assert seat.strike(one, interrupt)
        assert not seat.strike(one, interrupt)  # once is enough

    striker = threading.Thread(target=strike)
    striker.start()
    outcome = seat.call(one, float("inf"), job)
    striker.join(10)
    work_like_middleware()
    return outcome


def spin(seconds: float = 10.0) -> None:
    """Run Python code until an interrupt comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass
    raise AssertionError("no interrupt came")


def test_a_job_that_swallows_its_interrupt_is_taken_at_its_word() -> None:
    def job(ready: threading.Event) -> str:
        try:
            ready.set()
            spin()
        except BaseException:  # noqa: BLE001 - this is what jobs do
            return "went on"
        return "never"

    assert struck_while(job) == ("went on", None)


def test_except_exception_lets_an_interrupt_pass() -> None:
    def job(ready: threading.Event) -> str:
        try:
            ready.set()
            spin()
        except Exception:  # noqa: BLE001 - this is what jobs do
            return "swallowed"
        return "never"

    result, error = struck_while(job, Cancelled)
    assert result is None
    assert isinstance(error, Cancelled)


def test_finally_runs_and_generators_are_closed() -> None:
    steps: list[str] = []

    def resource() -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            steps.append("generator closed")

    def job(ready: threading.Event) -> None:
        try:
            for _ in resource():
                ready.set()
                time.sleep(0)
        finally:
            steps.append("cleaned up")

    _, error = struck_while(job)
    assert isinstance(error, TimeLimitExceeded)
    del error  # its traceback holds the frame, and with it the generator
    assert sorted(steps) == ["cleaned up", "generator closed"]


def test_what_cleaning_up_raises_is_the_outcome() -> None:
    def job(ready: threading.Event) -> None:
        try:
            ready.set()
            spin()
        finally:
            raise ValueError("while cleaning up")

    _, error = struck_while(job)
    assert isinstance(error, ValueError)
    assert isinstance(error.__context__, TimeLimitExceeded)


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), ValueError("x")])
def test_whatever_a_job_raises_is_its_outcome(raised: BaseException) -> None:
    def job() -> None:
        raise raised

    assert Seat().call(delivery(), float("inf"), job) == (None, raised)


def test_another_jobs_interrupt_does_not_hit_this_one() -> None:
    seat = Seat()
    former, present = delivery(), delivery()
    assert seat.call(former, float("inf"), lambda: 1) == (1, None)
    assert seat.call(present, float("inf"), lambda: seat.strike(former, Cancelled)) == (False, None)


def test_an_interrupt_waits_for_a_call_into_c() -> None:
    """Documented: it can't end one. It arrives when that returns."""

    def job(ready: threading.Event) -> str:
        ready.set()
        time.sleep(0.05)
        return "never"

    _, error = struck_while(job)
    assert isinstance(error, TimeLimitExceeded)
