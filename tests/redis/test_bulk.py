"""What is done with all jobs that fit a filter, also while others do the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.bulk import Outcome
from jobyard.broker.filters import JobFilter
from jobyard.broker.link import Link
from jobyard.broker.policy import QueuePolicy
from support.hand import Hand, look_up, message, next_millisecond
from support.snapshot import snapshot


@pytest.fixture
def many(broker: JobyardBroker) -> list[str]:
    """Sixty jobs in two queues; every third is of tenant 0."""
    sent = [message("ab"[number % 2], number, number % 3) for number in range(60)]
    broker.enqueue_many(sent)
    return [one.message_id for one in sent]


def bury(broker: JobyardBroker, worker: Hand, *names: object, queue: str = "q") -> list[str]:
    """Makes dead letters, the oldest first."""
    found = []
    for name in names:
        found.append(broker.enqueue(message(queue, name)).message_id)
        worker.bury(worker.fetch_one(), ValueError("mailbox full"))
        next_millisecond(broker)
    return found


def test_jobs_are_cancelled_by_filter(broker: JobyardBroker, many: list[str]) -> None:
    outcome = broker.bulk.cancel(JobFilter(argument={"1": 0}))
    assert (outcome.matched, outcome.changed, outcome.by_queue) == (20, 20, {"a": 10, "b": 10})
    assert outcome.sample == [many[number] for number in range(0, 60, 6)]
    left = [job.args[1] for queue in "ab" for job in broker.inspector.jobs(queue, "waiting")]
    assert sorted(left) == [1] * 20 + [2] * 20
    assert broker.bulk.cancel(JobFilter(argument={"1": 0})) == Outcome()


def test_jobs_are_cancelled_in_whatever_state_they_wait_and_running_ones_are_asked_to_stop(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    (dead,) = bury(broker, worker, "dead")
    broker.configure("q", QueuePolicy(key_concurrency=1))
    running, *parked = [broker.enqueue(message("q", key="k")).message_id for _ in range(3)]
    worker.fetch(3)
    delayed, waiting = send(delay=60_000), send()
    outcome = broker.bulk.cancel(JobFilter(queue="q"))
    assert (outcome.matched, outcome.changed) == (5, 5)
    assert {look_up(broker, one).state for one in (*parked, delayed, waiting)} == {"cancelled"}
    assert look_up(broker, dead).state == "dead"
    assert look_up(broker, running).cancelling
    # It was asked already.
    again = broker.bulk.cancel(JobFilter(queue="q"))
    assert (again.matched, again.changed) == (1, 0)


@pytest.mark.parametrize("action", ["cancel", "retry", "discard"])
def test_a_dry_run_changes_nothing(
    broker: JobyardBroker, hand: Callable[..., Hand], many: list[str], action: str
) -> None:
    letters = bury(broker, hand(), *range(3))
    before = snapshot(broker)
    outcome: Outcome = getattr(broker.bulk, action)(JobFilter(), dry_run=True)
    assert snapshot(broker) == before
    assert outcome.changed == 0
    if action == "cancel":
        assert (outcome.matched, outcome.by_queue) == (60, {"a": 30, "b": 30})
    else:
        assert (outcome.matched, outcome.by_queue, outcome.sample) == (3, {"q": 3}, letters)


def test_no_more_are_acted_on_than_the_limit_says_the_oldest_first(
    broker: JobyardBroker, hand: Callable[..., Hand], many: list[str]
) -> None:
    outcome = broker.bulk.cancel(JobFilter(queue="a"), limit=7)
    assert (outcome.matched, outcome.changed) == (7, 7)
    assert outcome.sample == many[:14:2]
    letters = bury(broker, hand(), *range(4))
    assert broker.bulk.retry(JobFilter(error="mailbox"), limit=2).sample == letters[:2]
    assert [look_up(broker, one).state for one in letters] == ["waiting", "waiting", "dead", "dead"]


def test_dead_letters_are_retried_slowly_over_all_queues(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    letters = bury(broker, hand("a"), 1, 2, queue="a") + bury(broker, hand("b"), 3, queue="b")
    outcome = broker.bulk.retry(JobFilter(), rate=0.1)
    assert (outcome.changed, outcome.by_queue) == (3, {"a": 2, "b": 1})
    first, second, third = (look_up(broker, one) for one in letters)
    assert first.state == "waiting"
    now = broker.inspector.stats("a").now
    assert [round((job.due_at or 0) - now, -4) for job in (second, third)] == [10_000, 20_000]


def test_only_dead_letters_are_retried(broker: JobyardBroker, many: list[str]) -> None:
    assert broker.bulk.retry(JobFilter()) == Outcome()
    with pytest.raises(ValueError, match="waiting jobs can't be retried"):
        broker.bulk.retry(JobFilter(states=("waiting",)))
    with pytest.raises(ValueError, match="rate"):
        broker.bulk.retry(JobFilter(), rate=0)


def test_letters_that_die_again_during_a_retry_are_left_alone(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    worker = hand()
    broker.enqueue_many([message("q", number) for number in range(600)])
    for delivery in worker.fetch(600):
        delivery.stuff_exception(ValueError("no"))
        delivery.fail()
        worker.dispatcher.settle(delivery)
    worker.fetch(0)
    retried = []

    def die_again(outcome: Outcome) -> None:
        retried.append(outcome.changed)
        for delivery in worker.fetch(600):
            delivery.stuff_exception(ValueError("no"))
            delivery.fail()
            worker.dispatcher.settle(delivery)
        worker.fetch(0)

    outcome = broker.bulk.retry(JobFilter(queue="q"), progress=die_again)
    assert retried == [250, 500, 600]
    assert outcome.changed == 600
    assert broker.inspector.stats("q").counts["revived"] == 600


def test_dead_letters_are_discarded_and_others_only_if_they_are_named(
    broker: JobyardBroker, hand: Callable[..., Hand], many: list[str], send: Callable[..., str]
) -> None:
    bury(broker, hand(), *range(3))
    assert broker.bulk.discard(JobFilter()).changed == 3
    assert broker.inspector.stats("a").waiting == 30
    assert broker.bulk.discard(JobFilter(queue="a", states=("waiting", "delayed"))).changed == 30
    send("b", delay=60_000)
    assert broker.bulk.discard(JobFilter(queue="b", states=("delayed",))).changed == 1
    for state in ("active", "completed", "cancelled"):
        with pytest.raises(ValueError, match=f"{state} jobs can't be discarded"):
            broker.bulk.discard(JobFilter(states=(state,)))


def test_parked_jobs_are_discarded(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    broker.configure("q", QueuePolicy(key_concurrency=1))
    broker.enqueue_many([message("q", number, key="k") for number in range(5)])
    worker = hand()
    (running,) = worker.fetch(5)
    outcome = broker.bulk.discard(JobFilter(states=("parked",), argument={"0": 2}))
    assert (outcome.matched, outcome.changed) == (1, 1)
    assert broker.bulk.discard(JobFilter(states=("parked",))).changed == 3
    worker.done(running)
    stats = broker.inspector.stats("q")
    assert (stats.parked, stats.counts["discarded"]) == (0, 4)


def test_parked_jobs_that_are_called_meanwhile_are_not_missed(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    broker.configure("q", QueuePolicy(key_concurrency=1))
    broker.enqueue_many([message("q", number, key="k") for number in range(600)])
    worker = hand()
    (running,) = worker.fetch(600)
    # One that is not parked, and comes before them: when it goes, one of them takes its place.
    broker.configure("q", QueuePolicy(paused=True))
    broker.enqueue(message("q", "first", key="k", priority=0))
    outcome = broker.bulk.cancel(JobFilter(queue="q", states=("waiting", "parked")))
    assert (outcome.matched, outcome.changed) == (600, 600)
    stats = broker.inspector.stats("q")
    assert (stats.waiting, stats.parked, stats.active) == (0, 0, 1)
    worker.done(running)


@pytest.mark.parametrize("action", ["cancel", "retry", "discard"])
def test_two_who_do_the_same_act_once_on_each_job(
    broker: JobyardBroker, hand: Callable[..., Hand], action: str
) -> None:
    broker.enqueue_many([message("q", number) for number in range(1500)])
    if action != "cancel":
        worker = hand()
        while found := worker.fetch(500):
            for delivery in found:
                delivery.stuff_exception(ValueError("no"))
                delivery.fail()
                worker.dispatcher.settle(delivery)
            worker.fetch(0)
    outcomes: list[Outcome] = []
    together = threading.Barrier(3)

    def act() -> None:
        together.wait()
        outcomes.append(getattr(broker.bulk, action)(JobFilter(queue="q")))
        broker.close()

    threads = [threading.Thread(target=act) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.changed for one in outcomes) == 1500
    assert sum(one.by_queue.get("q", 0) for one in outcomes) == 1500
    counts = broker.inspector.stats("q").counts
    assert counts[{"cancel": "cancelled", "retry": "revived", "discard": "discarded"}[action]] == 1500


def test_jobs_that_come_as_fast_as_they_are_cancelled_do_not_keep_it_going_for_ever(broker: JobyardBroker) -> None:
    broker.enqueue_many([message("q") for _ in range(300)])
    told = 0

    def send_more(outcome: Outcome) -> None:
        nonlocal told
        told += 1
        assert told < 100
        broker.enqueue_many([message("q") for _ in range(300)])

    outcome = broker.bulk.cancel(JobFilter(queue="q", states=("waiting",)), progress=send_more)
    assert outcome.changed >= 300


@pytest.mark.parametrize("action", ["cancel", "retry", "discard"])
def test_jobs_of_a_tag_are_found_without_looking_at_others(
    broker: JobyardBroker, hand: Callable[..., Hand], many: list[str], monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    worker = hand("a")
    broker.configure("q", QueuePolicy(key_concurrency=1))
    broker.enqueue_many([message("q", number, tags=["import", f"file-{number % 2}"], key="k") for number in range(6)])
    broker.enqueue_many([message("dead", number, tags=["import"]) for number in range(3)])
    busy, dying = hand("q"), hand("dead")
    busy.fetch(6)  # One runs, five are parked.
    for delivery in dying.fetch(3):
        dying.bury(delivery)
    looked_at: list[int] = []
    real = Link.call

    def counted(link: Link, one: Any, keys: Any, arguments: Any = ()) -> Any:
        arguments = tuple(arguments)
        looked_at.append(len(arguments) if one.name == "lookup" else 0)
        assert one.name != "scan"
        return real(link, one, keys, arguments)

    monkeypatch.setattr(Link, "call", counted)
    states = {"discard": ("parked", "dead")}.get(action, ())
    outcome: Outcome = getattr(broker.bulk, action)(JobFilter(tag="import", states=states))
    monkeypatch.undo()
    assert outcome.by_queue == {"cancel": {"q": 6}, "retry": {"dead": 3}, "discard": {"q": 5, "dead": 3}}[action]
    assert sum(looked_at) <= 9 + 6
    stats = broker.inspector.stats("q")
    assert (stats.waiting, stats.parked) == ((0, 5) if action == "retry" else (0, 0))
    assert worker.ids() == many[:1]


def test_what_the_progress_raises_ends_the_action(broker: JobyardBroker) -> None:
    broker.enqueue_many([message("q") for _ in range(600)])

    def stop(outcome: Outcome) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broker.bulk.cancel(JobFilter(queue="q"), progress=stop)
    assert broker.inspector.stats("q").cancelled == 250


def test_a_thousand_jobs_cost_a_few_calls(broker: JobyardBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    broker.enqueue_many([message("q") for _ in range(1000)])
    calls: list[str] = []
    real = Link.call

    def counted(link: Link, one: Any, *arguments: Any) -> Any:
        calls.append(one.name)
        return real(link, one, *arguments)

    monkeypatch.setattr(Link, "call", counted)
    assert broker.bulk.cancel(JobFilter(queue="q", states=("waiting",))).changed == 1000
    assert calls.count("cancel") == 4
    assert calls.count("scan") <= 6
