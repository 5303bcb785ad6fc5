"""Which job starts next: priorities across the fleet, first in first out within one, ageing with its bound, several queues."""

from __future__ import annotations

import random
from collections.abc import Callable

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from jobyard.priority import Priority
from support.hand import Hand, look_up, message
from support.waiting import eventually


def test_jobs_of_one_priority_start_in_the_order_of_their_arrival(
    hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    sent = [send() for _ in range(50)]
    first, second = hand(), hand()
    started = []
    while batch := [*first.ids(3), *second.ids(2)]:
        started += batch
    assert started == sent


def test_jobs_of_one_bulk_start_in_its_order(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    sent = [message() for _ in range(2500)]
    assert broker.enqueue_many(sent) == 2500
    worker = hand()
    started = [job_id for _ in range(3) for job_id in worker.ids(1000)]
    assert started == [one.message_id for one in sent]


def test_the_lower_number_starts_first_across_workers_and_producers(
    broker: JobyardBroker,
    make_broker: Callable[..., JobyardBroker],
    redis_url: str,
    hand: Callable[..., Hand],
) -> None:
    priorities = random.Random(7).sample(range(101), 101)
    other = make_broker(redis_url)
    for number, priority in enumerate(priorities):
        (broker, other)[number % 2].enqueue(message(priority=priority))
    first, second = hand(), hand()
    started = [delivery.priority for _ in range(51) for worker in (first, second) for delivery in worker.fetch()]
    assert started == list(range(101))


def test_an_urgent_job_passes_a_backlog(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.enqueue_many([message(priority=Priority.LOW) for _ in range(5000)])
    urgent = send(priority=Priority.CRITICAL)
    assert hand().ids() == [urgent]


def test_the_messages_own_priority_counts_before_its_actors_before_the_default(
    broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    @dramatiq.actor(queue_name="q", priority=Priority.HIGH)
    def urgent() -> None: ...

    @dramatiq.actor(queue_name="q")
    def usual() -> None: ...

    urgent.send()
    usual.send()
    urgent.send_with_options(priority=70)
    usual.send_with_options(priority=0)
    assert [delivery.priority for delivery in hand().fetch(9)] == [0, Priority.HIGH, Priority.NORMAL, 70]


def test_priorities_outside_the_range_are_taken_to_its_ends(
    hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    for priority in (1000, -5, 50):
        send(priority=priority)
    assert [delivery.priority for delivery in hand().fetch(9)] == [0, 50, 100]


def test_a_retried_job_keeps_its_priority(hand: Callable[..., Hand], send: Callable[..., str]) -> None:
    worker = hand()
    urgent = send(priority=Priority.CRITICAL)
    worker.retry(worker.fetch_one())
    send()
    assert worker.ids() == [urgent]


def test_a_retried_job_does_not_pass_more_urgent_ones(hand: Callable[..., Hand], send: Callable[..., str]) -> None:
    worker = hand()
    low = send(priority=Priority.LOW)
    worker.retry(worker.fetch_one())
    normal = send()
    assert worker.ids(2) == [normal, low]


def test_a_revived_dead_letter_keeps_its_priority(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    urgent = send(priority=Priority.CRITICAL)
    worker.bury(worker.fetch_one())
    send()
    broker.dead_letters.retry_all("q")
    assert worker.ids() == [urgent]


def test_a_recovered_job_returns_to_its_old_position(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    first = send()
    hand(lease=0.05).fetch_one()
    send()
    other = hand()
    started = eventually(lambda: [d for d in other.fetch() if d.message_id == first], 3)
    assert started[0].attempt == 2


def test_a_job_given_back_returns_to_its_old_position_and_keeps_its_attempts(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    sent = [send() for _ in range(4)]
    worker = hand()
    jobs = worker.fetch(3)
    worker.back(jobs[2], jobs[0], jobs[1])
    again = hand().fetch(4)
    assert [job.message_id for job in again] == sent
    assert {job.attempt for job in again} == {1}


def test_a_job_given_back_after_a_retry_keeps_the_attempts_it_had(
    hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    send()
    worker = hand()
    worker.retry(worker.fetch_one())
    second = worker.fetch_one()
    assert second.attempt == 2
    worker.back(second)
    assert worker.fetch_one().attempt == 2


# Several queues ----------------------------------------------------------------------------------------------------


def test_one_worker_takes_the_most_urgent_of_all_its_queues(
    hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    sent = {}
    for priority, queue in [(9, "a"), (2, "b"), (5, "c"), (1, "a"), (5, "b"), (2, "c"), (9, "c")]:
        sent[send(queue, priority=priority)] = (priority, queue)
    assert [sent[job_id] for job_id in hand("a", "b", "c").ids(9)] == [
        (1, "a"), (2, "b"), (2, "c"), (5, "c"), (5, "b"), (9, "a"), (9, "c"),
    ]  # fmt: skip


def test_equally_urgent_jobs_of_several_queues_start_in_the_order_of_their_arrival(
    hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    sent = [send(queue) for queue in "abcacbbca"]
    worker = hand("b", "c", "a")
    assert [job_id for _ in sent for job_id in worker.ids()] == sent


def test_a_queue_with_ageing_does_not_starve_a_strict_one(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    """Positions of both must be comparable, or one worker for both would serve only one."""
    broker.configure("aged", QueuePolicy(ageing=60))
    strict = send("strict")
    aged = [send("aged") for _ in range(3)]
    urgent = send("strict", priority=Priority.CRITICAL)
    assert hand("aged", "strict").ids(9) == [urgent, strict, *aged]


# Ageing ------------------------------------------------------------------------------------------------------------


def test_without_ageing_the_less_urgent_job_waits_for_ever(hand: Callable[..., Hand], send: Callable[..., str]) -> None:
    worker = hand()
    low = send(priority=Priority.LOW)
    started = []
    for _ in range(20):
        send(priority=Priority.HIGH)
        started += worker.ids()
    assert low not in started


@pytest.mark.parametrize("levels", [1, 3])
def test_with_ageing_a_less_urgent_job_waits_no_longer_than_its_bound(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], levels: int
) -> None:
    """Priority p waits at most (p - r) x ageing seconds longer than r: a stream of urgent jobs can't starve it."""
    ageing = 0.1
    broker.configure("q", QueuePolicy(ageing=ageing))
    worker = hand()
    low = send(priority=5 + levels)
    created = broker.inspector.stats("q").now

    def low_is_started() -> bool:
        # The stream never ebbs: there is always an urgent job waiting.
        send(priority=5)
        return low in worker.ids()

    eventually(low_is_started, 3)
    waited = (look_up(broker, low).started_at - created) / 1000
    assert levels * ageing - 0.02 <= waited < levels * ageing + 0.25


def test_ageing_acts_on_jobs_that_wait_already(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    old = [send(priority=5), send(priority=6)]
    worker = hand()
    running = send(priority=7)
    old.append(running)
    (held,) = [job for job in worker.fetch(3) if job.message_id == running]
    worker.back(*[job for job in worker.dispatcher.held.values() if job is not held])
    broker.configure("q", QueuePolicy(ageing=0.05))
    worker.back(held)
    new = [send(priority=5)]
    eventually(lambda: worker.ids(0) or broker.inspector.stats("q").now - look_up(broker, new[0]).created_at > 150)
    new.append(send(priority=5))
    assert worker.ids(9)[-1] == new[1], "jobs from before the change are starved by new ones"


def test_without_ageing_again_the_order_is_strict_also_for_jobs_that_wait_already(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.configure("q", QueuePolicy(ageing=0.01))
    low = send(priority=90)
    broker.configure("q", QueuePolicy(ageing=None))
    high = send(priority=1)
    assert hand().ids(2) == [high, low]


# Delays ------------------------------------------------------------------------------------------------------------


def test_a_delayed_job_does_not_start_before_its_time_and_then_without_being_asked(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send(delay=120)
    due = look_up(broker, job_id).due_at
    worker = hand()
    job = eventually(worker.fetch, 3)[0]
    assert job.message_id == job_id
    assert 0 <= look_up(broker, job_id).started_at - due < 60


def test_due_jobs_start_in_the_order_of_their_due_times(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    late, soon, between = send(delay=60), send(delay=20), send(delay=40)
    eventually(lambda: broker.inspector.stats("q").now > look_up(broker, late).due_at)
    now = send()
    assert hand().ids(9) == [soon, between, late, now]


def test_due_jobs_obey_priorities(broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]) -> None:
    low, high = send(delay=5, priority=10), send(delay=25, priority=1)
    eventually(lambda: broker.inspector.stats("q").now > look_up(broker, high).due_at)
    assert hand().ids(9) == [high, low]


def test_many_jobs_that_become_due_at_once_all_start(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    broker.enqueue_many([message() for _ in range(1300)], delay=20)
    worker = hand()
    started: list[str] = []
    eventually(lambda: started.extend(worker.ids(1000)) or len(started) == 1300)
    assert len(set(started)) == 1300


def test_a_negative_delay_is_none(hand: Callable[..., Hand], send: Callable[..., str]) -> None:
    job_id = send(delay=-5)
    assert hand().ids() == [job_id]
