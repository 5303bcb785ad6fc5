"""A JobQueue's policy in Redis: written whole, once, and at once in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from jobyard.worker.worker import JobyardWorker
from jobyard_operator.redis.look import look
from jobyard_operator.redis.policy import configure, digest, hold
from jobyard_operator.redis.wakeup import sleep
from support.hand import Hand, look_up, message
from support.waiting import eventually

WHOLE = QueuePolicy(paused=False, concurrency=3, rate=5, rate_period=2000, fair=True, weights={"a": 2, "b": 3}, dead=9)


def test_the_whole_policy_is_written(broker: JobyardBroker) -> None:
    broker.configure("q", QueuePolicy(completed=5, key_concurrency=2, weights={"b": 7, "old": 1}))
    assert configure(broker, "q", 1, WHOLE)
    assert broker.inspector.stats("q").policy == WHOLE
    assert look(broker, "q", 15).policy_digest == digest(WHOLE)
    assert broker.inspector.queues() == ["q"]


def test_it_is_written_once_and_what_somebody_changes_meanwhile_is_left(broker: JobyardBroker) -> None:
    configure(broker, "q", 1, WHOLE)
    broker.configure("q", QueuePolicy(paused=True, dead=5))
    assert not configure(broker, "q", 1, WHOLE)
    assert not configure(broker, "q", 2, WHOLE)  # A new leader says the same.
    policy = broker.inspector.stats("q").policy
    assert (policy.paused, policy.dead) == (True, 5)
    assert configure(broker, "q", 2, WHOLE.changed_by(QueuePolicy(concurrency=4)))
    policy = broker.inspector.stats("q").policy
    assert (policy.paused, policy.dead, policy.concurrency) == (False, 9, 4)


def test_what_a_newer_version_has_written_is_left(broker: JobyardBroker) -> None:
    key = broker.keys("q")["policy"]
    broker.server.client().hset(key, "invented_later", "x")
    configure(broker, "q", 1, WHOLE)
    assert broker.server.client().hget(key, "invented_later") == b"x"


def test_the_operator_s_flags_are_kept(broker: JobyardBroker) -> None:
    assert sleep(broker, "q", 1)
    hold(broker, "q", 1, "why")
    configure(broker, "q", 1, WHOLE)
    assert broker.server.client().hmget(broker.keys("q")["policy"], "asleep", "held") == [b"1", b"why"]


def test_the_end_of_a_pause_wakes_an_idle_worker(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None: ...

    configure(broker, "q", 1, QueuePolicy(paused=True))
    start_worker()
    sent = work.send()
    eventually(lambda: broker.server.client().llen(broker.keys("q")["wake"]) == 0, what="the worker has looked")
    configure(broker, "q", 1, QueuePolicy(paused=False))
    eventually(lambda: look_up(broker, sent.message_id).state == "completed", 1)


def test_parked_jobs_return_when_the_limit_of_their_key_is_gone(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    configure(broker, "q", 1, QueuePolicy(key_concurrency=1))
    for _ in range(3):
        send(key="k")
    assert len(worker.fetch(9)) == 1
    configure(broker, "q", 1, QueuePolicy())
    assert len(worker.fetch(9)) == 2


def test_jobs_that_wait_take_part_in_ageing_also_when_the_operator_dies_before_it_has_seen_to_that(
    broker: JobyardBroker, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = message(job_id="old", priority=60), message(job_id="new", priority=50)
    broker.enqueue(old)
    broker.server.client().zincrby(broker.keys("q")["ready"], -100 * 100_000, "old")
    policy = QueuePolicy(ageing=5)

    def die(queue: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(broker, "reorder", die)
        with pytest.raises(KeyboardInterrupt):
            configure(broker, "q", 1, policy)
    assert not configure(broker, "q", 2, policy)
    broker.enqueue(new)
    assert hand().ids(2) == ["old", "new"]
    monkeypatch.setattr(broker, "reorder", die)
    assert not configure(broker, "q", 2, policy)  # It is done, and not done again.


POLICIES = st.builds(
    QueuePolicy,
    paused=st.none() | st.booleans(),
    concurrency=st.none() | st.integers(1, 9),
    rate=st.none() | st.floats(0.5, 100),
    dead=st.none() | st.integers(0, 9),
    weights=st.none() | st.dictionaries(st.text(max_size=3), st.floats(0.01, 1000), max_size=3),
)


@given(POLICIES, POLICIES)
def test_policies_have_the_same_digest_if_they_say_the_same(one: QueuePolicy, other: QueuePolicy) -> None:
    def said(policy: QueuePolicy) -> dict[str, Any]:
        return {name: value for name, value in policy.to_fields().items() if value}

    assert (digest(one) == digest(other)) == (said(one) == said(other))


def test_a_field_that_is_not_mentioned_is_as_one_that_is_none() -> None:
    assert digest(QueuePolicy()) == digest(QueuePolicy(dead=None, weights=None))
    assert digest(QueuePolicy()) != digest(QueuePolicy(paused=False))
