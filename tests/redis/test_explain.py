"""Explaining jobs on a real server: what holds them is read at one instant, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.explain import Explanation, Reason
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.workers import Announcement, Register
from jobyard.errors import PermanentError
from support.hand import Hand, message
from support.snapshot import snapshot
from support.waiting import eventually


@pytest.fixture
def why(broker: JobyardBroker) -> Callable[[str], Explanation]:
    """Explains a job, and makes sure that nothing changed."""

    def explain(job_id: str) -> Explanation:
        before = snapshot(broker)
        found = broker.inspector.explain(job_id)
        assert snapshot(broker) == before
        return found

    return explain


@pytest.fixture
def at_work(broker: JobyardBroker, hand: Callable[..., Hand]) -> Hand:
    """A worker that has announced itself."""
    one = hand()
    said = Announcement(
        name="pod/1", pod=None, queues=["q"], actors=["work"], threads=5, running=[], draining=False, completed=0,
        failed=0, started_at=0, version="1",
    )  # fmt: skip
    register = Register(broker, one.token)
    register.announce(said)
    register.close()
    return one


Why = Callable[[str], Explanation]
Send = Callable[..., str]


def test_a_job_without_a_worker_says_so(why: Why, send: Send, broker: JobyardBroker) -> None:
    first = send()
    assert why(first).reason == Reason.NO_WORKER
    broker.pause("q")
    assert why(first).reason == Reason.QUEUE_PAUSED


def test_who_comes_first_is_counted_by_priority(why: Why, send: Send, at_work: Hand, broker: JobyardBroker) -> None:
    broker.enqueue_many([message("q", priority=priority) for priority in (0, 0, 5, 5, 5, 9)])
    job_id = send("q", priority=5)
    send("q", priority=100)
    found = why(job_id)
    assert (found.reason, found.facts["position"], found.facts["ahead"]) == (
        Reason.BEHIND_OTHERS,
        5,
        {"0": 2, "5": 3},
    )
    # With ageing the bands overlap, and the jobs themselves have to be looked at.
    broker.configure("q", QueuePolicy(ageing=3600))
    assert why(job_id).facts["ahead"] == {"0": 2, "5": 3}
    assert why(send("q", actor="other")).reason == Reason.ACTOR_NOT_KNOWN


def test_jobs_at_the_very_same_position_are_counted_too(why: Why, at_work: Hand, broker: JobyardBroker) -> None:
    broker.enqueue_many([message("q", job_id=name) for name in "abc"])
    client, keys = broker.server.client(), broker.keys("q")
    score = client.zscore(keys["ready"], "a")
    client.zadd(keys["ready"], dict.fromkeys("abc", score))
    assert [why(name).facts.get("ahead") for name in "abc"] == [None, {"5": 1}, {"5": 2}]


def test_limits_name_who_holds_the_slots(why: Why, send: Send, at_work: Hand, broker: JobyardBroker) -> None:
    broker.configure("q", QueuePolicy(key_concurrency=1))
    running, second, third = [broker.enqueue(message("q", key="acme")).message_id for _ in range(3)]
    at_work.fetch(3)
    found = why(third)
    assert (found.state, found.reason, found.facts["holders"]) == ("parked", Reason.KEY_CONCURRENCY, [running])
    assert (found.facts["parked_ahead"], found.facts["key"]) == (1, "acme")
    assert why(second).facts["parked_ahead"] == 0
    waiting = send()
    broker.configure("q", QueuePolicy(concurrency=1))
    found = why(waiting)
    assert (found.reason, found.facts["running"]) == (Reason.QUEUE_CONCURRENCY, [running])


def test_a_job_that_is_held_says_what_is_down(why: Why, at_work: Hand, broker: JobyardBroker) -> None:
    broker.breakers.open("q", "smtp", 60_000)
    first, second = (broker.enqueue(message("q", n, dependency="smtp", key="acme")).message_id for n in range(2))
    assert at_work.ids(5) == []
    assert why(first).reason == Reason.DEPENDENCY_DOWN
    assert "'smtp' is switched off" in why(first).sentence
    assert "1 job before this one" in why(second).sentence


def test_rates_say_until_when(why: Why, send: Send, at_work: Hand, broker: JobyardBroker) -> None:
    broker.configure("q", QueuePolicy(rate=1, rate_period=60_000))
    first, second = send(), send()
    assert at_work.ids(2) == [first]
    found = why(second)
    now = broker.inspector.stats("q").now
    assert found.reason == Reason.QUEUE_RATE
    assert 50_000 < found.facts["queue_rate_at"] - now <= 60_000
    broker.configure("q", QueuePolicy(rate=None, key_rate=1, key_rate_period=60_000))
    for _ in range(2):
        third = broker.enqueue(message("q", key="acme")).message_id
    at_work.fetch(3)
    assert why(third).reason == Reason.KEY_RATE


def test_turns_are_told(why: Why, at_work: Hand, broker: JobyardBroker) -> None:
    broker.configure("q", QueuePolicy(fair=True))
    sent = [broker.enqueue(message("q", key="acme")).message_id for _ in range(3)]
    assert [why(one).reason for one in sent] == [Reason.NEXT, Reason.FAIR_TURN, Reason.FAIR_TURN]


def test_a_delayed_job_says_why(
    why: Why, send: Send, at_work: Hand, hand: Callable[..., Hand], broker: JobyardBroker
) -> None:
    assert why(send(delay=60_000)).reason == Reason.DELAYED
    send()
    at_work.retry(delivery := at_work.fetch_one(), 60_000)
    found = why(delivery.message_id)
    assert found.reason == Reason.RETRY_BACK_OFF
    assert "RuntimeError: on purpose" in found.sentence
    send()
    at_work.retry(delivery := at_work.fetch_one(), 60_000, counted=False)
    assert why(delivery.message_id).reason == Reason.PUT_OFF
    letters = [send(), send()]
    for _ in letters:
        at_work.bury(at_work.fetch_one())
    broker.dead_letters.retry("q", letters, rate=0.01)
    assert why(letters[1]).reason == Reason.RETRIED_SLOWLY
    at_work.done(at_work.fetch_one())
    killer = send()
    for _ in range(2):
        doomed = hand()
        doomed.fetch_one()
        broker.revoke(doomed.token, b'{"error":"WorkerDied","message":"killed"}')
    assert why(killer).reason == Reason.RECOVERED


def test_a_running_job_says_where(why: Why, send: Send, at_work: Hand, broker: JobyardBroker) -> None:
    job_id = send()
    at_work.fetch_one()
    found = why(job_id)
    assert (found.reason, found.facts["worker"]) == (Reason.RUNNING, at_work.token)
    assert found.sentence.startswith("It runs on pod/1, attempt 1")
    assert 0 < found.facts["lease_left"] <= 15_000
    broker.cancel(job_id)
    assert why(job_id).reason == Reason.CANCELLING


def test_the_lease_of_a_lost_worker_has_run_out(
    why: Why, send: Send, hand: Callable[..., Hand], broker: JobyardBroker
) -> None:
    job_id = send()
    hand(lease=0.01).fetch_one()
    eventually(lambda: why(job_id).reason == Reason.LEASE_RAN_OUT)


def test_an_ended_job_says_how(why: Why, send: Send, at_work: Hand, broker: JobyardBroker) -> None:
    send()
    at_work.bury(delivery := at_work.fetch_one())
    assert why(delivery.message_id).reason == Reason.ATTEMPTS_USED_UP
    send()
    at_work.done(delivery := at_work.fetch_one())
    assert why(delivery.message_id).reason == Reason.COMPLETED
    broker.cancel(job_id := send())
    assert why(job_id).reason == Reason.CANCELLED
    found = why("nobody")
    assert (found.reason, found.queue) == (Reason.UNKNOWN, None)
    assert broker.inspector.explain(job_id, queue="other").reason == Reason.UNKNOWN


def test_a_real_worker_tells_final_errors_from_used_up_attempts(
    broker: JobyardBroker, start_worker: Callable[..., Any], why: Why
) -> None:
    @dramatiq.actor(queue_name="q", max_retries=0)
    def fails(how: str) -> None:
        raise PermanentError("never") if how == "final" else ValueError("this time")

    start_worker()
    sent = {how: fails.send(how).message_id for how in ("final", "used up")}
    eventually(lambda: broker.inspector.stats("q").dead == 2)
    assert why(sent["final"]).reason == Reason.PERMANENT_ERROR
    assert why(sent["used up"]).reason == Reason.ATTEMPTS_USED_UP
