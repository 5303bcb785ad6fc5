"""Parked jobs, which wait for a slot of their key, are never forgotten: whatever becomes of the one that had the next turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import FollowUp
from jobyard.broker.envelope import seal
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.scripts import script
from jobyard.errors import RateLimitExceeded
from support.hand import Hand, look_up, message
from support.proxy import Proxy
from support.servers import Server
from support.waiting import eventually


@pytest.fixture
def chain(broker: JobyardBroker, hand: Callable[..., Hand]) -> tuple[Hand, str, str]:
    """Three jobs of one key, of which one may run at a time. The first has ended: the second waits, the third is parked."""
    broker.configure("q", QueuePolicy(key_concurrency=1))
    sent = [broker.enqueue(message("q", key="k", unique=f"u{number}", job_id=f"job-{number}")) for number in range(3)]
    worker = hand()
    (first,) = worker.fetch(9)
    assert broker.inspector.stats("q").parked == 2
    worker.done(first)
    stats = broker.inspector.stats("q")
    assert (stats.waiting, stats.parked) == (1, 1)
    return worker, sent[1].message_id, sent[2].message_id


def test_the_next_one_runs(chain: tuple[Hand, str, str]) -> None:
    worker, second, third = chain
    (job,) = worker.fetch(9)
    assert job.message_id == second
    worker.done(job)
    assert worker.ids(9) == [third]


def test_when_the_next_one_is_cancelled_the_one_after_it_runs(
    broker: JobyardBroker, chain: tuple[Hand, str, str]
) -> None:
    worker, second, third = chain
    broker.cancel(second)
    assert worker.ids(9) == [third]


def test_when_the_next_one_is_discarded_the_one_after_it_runs(
    broker: JobyardBroker, chain: tuple[Hand, str, str]
) -> None:
    worker, second, third = chain
    assert broker.link.call(script("discard"), broker.keys("q").all, ["ready", second]) == 1
    assert worker.ids(9) == [third]


def test_when_the_next_one_expires_the_one_after_it_runs(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    broker.configure("q", QueuePolicy(key_concurrency=1))
    worker = hand()
    broker.enqueue(message("q", key="k"))
    (first,) = worker.fetch()
    second = broker.enqueue(message("q", key="k", expires=100)).message_id
    third = broker.enqueue(message("q", key="k")).message_id
    assert worker.fetch(9) == []
    worker.done(first)
    now = broker.inspector.stats("q").now
    eventually(lambda: broker.inspector.stats("q").now > now + 110)
    assert worker.ids(9) == [third]
    assert look_up(broker, second).state == "dead"


def test_when_the_next_one_is_replaced_the_new_one_and_the_one_after_it_run(
    broker: JobyardBroker, chain: tuple[Hand, str, str]
) -> None:
    worker, second, third = chain
    broker.enqueue(message("q", key="other", unique="u1", debounce=True, job_id="newer"))
    assert broker.inspector.job(second) is None
    assert sorted(worker.ids(9)) == sorted(["newer", third])


def test_a_parked_job_is_replaced_by_a_newer_one(broker: JobyardBroker, chain: tuple[Hand, str, str]) -> None:
    """It waits still, so it is the newer one that shall run."""
    worker, second, third = chain
    broker.enqueue(message("q", key="k", unique="u2", debounce=True, job_id="newer"))
    assert broker.inspector.job(third) is None
    (job,) = worker.fetch(9)
    assert job.message_id == second
    worker.done(job)
    assert worker.ids(9) == ["newer"]


def test_parked_jobs_take_part_in_ageing_that_is_switched_on_meanwhile(
    broker: JobyardBroker, chain: tuple[Hand, str, str]
) -> None:
    worker, _, third = chain
    (job,) = worker.fetch(9)
    broker.configure("q", QueuePolicy(ageing=0.05))
    broker.inspector.stats("q")
    started = broker.inspector.stats("q").now
    worker.done(job)
    eventually(lambda: broker.inspector.stats("q").now > started + 300)
    broker.enqueue(message("q"))
    assert worker.ids(1) == [third]


def test_a_rejection_whose_reply_got_lost_is_a_rejection_still(
    server: Server,
    broker: JobyardBroker,
    make_broker: Callable[..., JobyardBroker],
    start_proxy: Callable[[int], Proxy],
) -> None:
    """The repetition must not be taken for the repetition of a call that had been accepted."""
    broker.configure("q", QueuePolicy(rate=0.01, rate_mode="reject"))
    proxy = start_proxy(server.port)
    producer = make_broker(proxy.url)
    producer.enqueue(message("q", "first"))
    proxy.lose_replies(2, containing=b"second")
    with pytest.raises(RateLimitExceeded):
        producer.enqueue(message("q", "second"))
    assert proxy.lost == 2
    assert broker.inspector.stats("q").waiting == 1


def test_sending_a_known_job_again_is_not_a_matter_of_rates(broker: JobyardBroker) -> None:
    broker.configure("q", QueuePolicy(rate=0.01, rate_mode="reject"))
    sent = message("q")
    broker.enqueue(sent)
    broker.enqueue(sent)
    assert broker.inspector.stats("q").waiting == 1


def test_an_expiry_ends_with_its_job(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    """A later job of the same id is another one."""
    broker.enqueue(message("q", job_id="same", expires=100))
    broker.flush("q")
    broker.enqueue(message("q", job_id="same"))
    broker.pause("q")
    now = broker.inspector.stats("q").now
    worker = hand()
    eventually(lambda: worker.fetch() == [] and broker.inspector.stats("q").now > now + 150)
    broker.resume("q")
    assert worker.ids() == ["same"]


def test_what_follows_from_a_job_is_accepted_whatever_the_rate_of_its_queue(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.configure("other", QueuePolicy(rate=0.01, rate_mode="reject"))
    send("other")
    send("q")
    worker = hand()
    job = worker.fetch_one()
    new = message("other")
    job.follow_ups.append(FollowUp("other", new.message_id, seal(new, 5), 5, 0))
    worker.done(job)
    assert broker.inspector.stats("other").waiting == 2
