"""Limits over the whole fleet: concurrency and rates, of a queue and of a key. Nothing is polled for, no attempt is used."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.dispatcher import Dispatcher
from jobyard.broker.policy import QueuePolicy
from jobyard.errors import RateLimitExceeded
from support.waiting import eventually

StartWorker = Callable[..., Any]


class Watch:
    """Who ran when, and how many at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.order: list[tuple[str, int]] = []
        self.starts: list[float] = []

    def run(self, number: int, key: str, seconds: float) -> None:
        with self._lock:
            self.order.append((key, number))
            self.starts.append(time.monotonic())
            for name in (key, ""):
                self._running[name] += 1
                self.peak[name] = max(self.peak[name], self._running[name])
        time.sleep(seconds)
        with self._lock:
            for name in (key, ""):
                self._running[name] -= 1


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def work(broker: JobyardBroker, watch: Watch) -> Any:
    @dramatiq.actor(key="tenant")
    def work(number: int, tenant: str, seconds: float = 0.002) -> None:
        watch.run(number, tenant, seconds)

    return work


def drained(broker: JobyardBroker) -> None:
    broker.join("default", interval=5, timeout=20_000)


def test_no_more_jobs_of_a_queue_run_than_its_concurrency_in_the_whole_fleet(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(concurrency=3))
    start_worker(threads=4)
    start_worker(threads=4)
    broker.enqueue_many(work.message(number, "a") for number in range(100))
    drained(broker)
    assert watch.peak[""] == 3


def test_jobs_of_one_key_run_one_by_one_in_order_while_other_keys_go_on(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(key_concurrency=1))
    start_worker(threads=4)
    start_worker(threads=4)
    broker.enqueue_many(work.message(number, key) for number in range(40) for key in "abc")
    drained(broker)
    assert [watch.peak[key] for key in "abc"] == [1, 1, 1]
    assert watch.peak[""] > 1
    for key in "abc":
        assert [number for name, number in watch.order if name == key] == list(range(40))


def test_a_job_that_waits_for_its_key_is_parked_and_has_used_no_attempt(
    broker: JobyardBroker, start_worker: StartWorker, work: Any
) -> None:
    broker.configure("default", QueuePolicy(key_concurrency=1))
    first, second = work.send(1, "a", 0.3), work.send(2, "a", 0.0)
    start_worker(threads=2)
    eventually(lambda: broker.inspector.stats("default").parked == 1)
    parked = broker.inspector.job(second.message_id)
    assert parked is not None
    assert (parked.state, parked.attempts) == ("parked", 0)
    assert [job.id for job in broker.inspector.jobs("default", "parked")] == [second.message_id]
    drained(broker)
    assert [job.attempts for job in broker.inspector.jobs_by_id("default", [first.message_id, second.message_id])] == [
        1,
        1,
    ]


def test_the_slot_of_a_dead_worker_comes_free_with_its_lease(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(key_concurrency=1))
    work.send(1, "a")
    work.send(2, "a")
    dead = Dispatcher(broker, ["default"], slots=1, lease=0.2)
    assert len(dead.fetch().deliveries) == 1
    dead.close()
    start_worker(threads=2)
    drained(broker)
    assert sorted(number for _, number in watch.order) == [1, 2]
    assert watch.peak["a"] == 1


def test_a_parked_job_can_be_cancelled(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(key_concurrency=1))
    work.send(1, "a", 0.2)
    second = work.send(2, "a")
    start_worker(threads=2)
    eventually(lambda: broker.inspector.stats("default").parked == 1)
    assert broker.cancel(second.message_id) == "parked"
    drained(broker)
    assert [number for _, number in watch.order] == [1]


def test_flushing_a_queue_discards_parked_jobs_too(broker: JobyardBroker, start_worker: StartWorker, work: Any) -> None:
    broker.configure("default", QueuePolicy(key_concurrency=1))
    for number in range(3):
        work.send(number, "a", 0.3)
    start_worker(threads=2)
    eventually(lambda: broker.inspector.stats("default").parked >= 1)
    broker.flush("default")
    drained(broker)
    stats = broker.inspector.stats("default")
    assert (stats.parked, stats.completed, stats.counts["discarded"]) == (0, 1, 2)


def test_lifting_a_limit_sets_parked_jobs_free_at_once(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(key_concurrency=1))
    work.send(1, "a", 1.0)
    work.send(2, "a")
    start_worker(threads=2)
    eventually(lambda: broker.inspector.stats("default").parked == 1)
    broker.configure("default", QueuePolicy(key_concurrency=None))
    drained(broker)
    assert watch.peak["a"] == 2, "the second ran beside the first"


def test_a_queue_starts_its_burst_at_once_and_then_one_job_a_step(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(rate=20, rate_burst=5))
    broker.enqueue_many(work.message(number, "a", 0.0) for number in range(15))
    start_worker(threads=1)
    drained(broker)
    first = watch.starts[0]
    # Never early; late by as much as the machine likes.
    assert all(start - first >= (number - 4) * 0.05 - 0.01 for number, start in enumerate(watch.starts))
    assert [number for _, number in watch.order] == list(range(15))


def test_a_rate_by_key_gives_each_job_its_time_and_leaves_others_alone(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(key_rate=1, key_rate_period=60_000))
    sent = [work.send(number, "slow", 0.0) for number in range(4)]
    broker.enqueue_many(work.message(number, f"key-{number}", 0.0) for number in range(20))
    start_worker(threads=1)
    eventually(lambda: len(watch.order) == 21)
    held = broker.inspector.jobs_by_id("default", [message.message_id for message in sent[1:]])
    assert {job.state for job in held} == {"delayed"}
    assert {job.attempts for job in held} == {0}
    due = [job.due_at for job in held]
    now = broker.inspector.stats("default").now
    assert [round((at or 0) - now, -4) for at in due] == [60_000, 120_000, 180_000], "its time is known"


def test_a_job_that_was_given_its_time_is_not_charged_twice(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(key_rate=20))
    broker.enqueue_many(work.message(number, "a", 0.0) for number in range(10))
    start_worker(threads=1)
    drained(broker)
    assert watch.starts[-1] - watch.starts[0] < 2 * 9 * 0.05 + 1


def test_a_queue_that_rejects_says_when_to_come_back_and_accepts_all_or_nothing(
    broker: JobyardBroker, work: Any
) -> None:
    broker.configure("default", QueuePolicy(rate=2, rate_period=60_000, rate_burst=2, rate_mode="reject"))
    work.send(1, "a")
    with pytest.raises(RateLimitExceeded) as refused:
        broker.enqueue_many(work.message(number, "a") for number in range(2))
    assert 0 < refused.value.retry_after <= 30
    assert isinstance(refused.value, dramatiq.RateLimitExceeded)
    assert broker.inspector.stats("default").waiting == 1
    work.send(2, "a")
    with pytest.raises(RateLimitExceeded):
        work.send(3, "a")
    assert broker.inspector.stats("default").counts["accepted"] == 2


def test_a_noisy_key_does_not_delay_a_quiet_one_where_keys_take_turns(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(fair=True, paused=True))
    broker.enqueue_many(work.message(number, "noisy", 0.0) for number in range(500))
    broker.enqueue_many(work.message(number, "quiet", 0.0) for number in range(10))
    start_worker(threads=1)
    broker.resume("default")
    drained(broker)
    keys = [key for key, _ in watch.order]
    assert max(at for at, key in enumerate(keys) if key == "quiet") < 25
    assert [number for key, number in watch.order if key == "noisy"] == list(range(500))


def test_a_key_that_comes_late_starts_where_the_queue_is_now(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(fair=True, concurrency=1))
    broker.enqueue_many(work.message(number, "early", 0.003) for number in range(200))
    start_worker(threads=1)
    eventually(lambda: len(watch.order) > 20)
    work.send(0, "late", 0.0)
    seen = len(watch.order)
    eventually(lambda: ("late", 0) in watch.order)
    assert watch.order.index(("late", 0)) <= seen + 5
    drained(broker)


def test_turns_are_in_proportion_to_weights(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(fair=True, weights={"gold": 3}, paused=True))
    for key in ("gold", "iron"):
        broker.enqueue_many(work.message(number, key, 0.0) for number in range(60))
    start_worker(threads=1)
    broker.resume("default")
    drained(broker)
    assert Counter(key for key, _ in watch.order[:40]) == {"gold": 30, "iron": 10}


def test_priorities_come_before_turns(
    broker: JobyardBroker, start_worker: StartWorker, work: Any, watch: Watch
) -> None:
    broker.configure("default", QueuePolicy(fair=True, paused=True))
    broker.enqueue_many(work.message(number, "a", 0.0) for number in range(20))
    work.send_with_options(args=(99, "a", 0.0), priority=1)
    start_worker(threads=1)
    broker.resume("default")
    drained(broker)
    assert watch.order[0] == ("a", 99)


def test_limits_hold_for_retries_and_the_ledger_adds_up(
    broker: JobyardBroker, start_worker: StartWorker, watch: Watch
) -> None:
    @dramatiq.actor(key="tenant", max_retries=3, min_backoff=1, max_backoff=10)
    def shaky(number: int, tenant: str) -> None:
        watch.run(number, tenant, 0.001)
        if number % 3 == 0 and sum(one == (tenant, number) for one in watch.order) < 2:
            raise ValueError("once more")

    broker.configure("default", QueuePolicy(key_concurrency=2, concurrency=5))
    start_worker(threads=8)
    broker.enqueue_many(shaky.message(number, "abc"[number % 3]) for number in range(120))
    drained(broker)
    assert max(watch.peak[key] for key in "abc") <= 2
    assert watch.peak[""] <= 5
    stats = broker.inspector.stats("default")
    assert (stats.completed, stats.dead, stats.parked) == (120, 0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"rate": 0},
        {"rate_period": 0},
        {"rate_mode": "drop"},
        {"weights": {"a": 0}},
        {"fair": True, "ageing": 5},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        QueuePolicy(**wrong)


def test_parts_that_do_not_fit_together_are_refused_also_one_after_the_other(broker: JobyardBroker) -> None:
    broker.configure("default", QueuePolicy(ageing=5))
    with pytest.raises(ValueError, match="ageing"):
        broker.configure("default", QueuePolicy(fair=True))
    assert broker.inspector.stats("default").policy == QueuePolicy(ageing=5)
    broker.configure("default", QueuePolicy(ageing=None, fair=True))
    # Written by somebody else, it must stay readable all the same.
    broker.link.command("HSET", broker.keys("default")["policy"], "ageing", "5")
    policy = broker.inspector.stats("default").policy
    assert (policy.fair, policy.ageing) == (True, 5)
