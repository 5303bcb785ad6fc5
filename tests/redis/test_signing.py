"""Signed jobs: a worker with signing keys runs nothing that was not signed, for this very job, by somebody who has a key."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import Delivery
from jobyard.broker.envelope import UNREADABLE
from jobyard.broker.key_ring import KeyRing
from jobyard.broker.protection import Protection
from support.hand import Hand, message
from support.waiting import eventually

MakeBroker = Callable[..., JobyardBroker]


def ring(*names: str) -> KeyRing:
    keys = (f"{name}:{base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()}" for name in names)
    return KeyRing.from_text(",".join(keys), "KEYS")


def signing(*names: str) -> Protection:
    return Protection(signing=ring(*names))


@pytest.fixture
def broker(broker: JobyardBroker) -> JobyardBroker:
    """Signs with the key `a`."""
    broker.protection = signing("a")
    return broker


@pytest.fixture
def anybody(broker: JobyardBroker, make_broker: MakeBroker, redis_url: str) -> JobyardBroker:
    """Another process on the same queues, without a key."""
    return make_broker(redis_url)


def error_of(delivery: Delivery) -> str:
    assert (delivery.actor_name, delivery.args) == (UNREADABLE, ())
    return f"{type(delivery.error).__name__}: {delivery.error}"


def test_a_signed_job_is_readable_and_runs_also_where_no_signature_is_asked_for(
    broker: JobyardBroker, anybody: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    first, second = send("q", 1), send("q", 2)
    job = anybody.inspector.job(first)
    assert job is not None
    assert (job.args, job.problem) == ((1,), None)
    assert hand().fetch_one().args == (1,)
    assert hand(broker=anybody).fetch_one().message_id == second


def test_a_job_that_is_not_signed_is_buried_with_the_reason_and_never_run(
    broker: JobyardBroker, anybody: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    ran: list[int] = []

    @dramatiq.actor(actor_name="work", queue_name="q")
    def work(number: int) -> None:
        ran.append(number)

    forged = anybody.enqueue(message("q", 1)).message_id
    broker.enqueue(message("q", 2))
    start_worker()
    broker.join("q", timeout=20_000)
    assert ran == [2]
    job = broker.inspector.job(forged)
    assert job is not None
    assert (job.state, job.args, job.errors[-1]["error"]) == ("dead", (1,), "EnvelopeRefusedError")
    assert "not signed" in job.errors[-1]["message"]
    with pytest.raises(ValueError, match="not signed"):
        broker.dead_letters.edit_and_retry("q", forged, lambda args, kwargs: (args, kwargs))


@pytest.mark.parametrize("how", ["moved", "changed", "priority", "other key", "no signature"])
def test_a_wrong_signature_is_refused(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], how: str
) -> None:
    victim = send("q", 1)
    jobs = broker.keys("q")["jobs"]
    envelope: bytes = broker.link.command(b"HGET", jobs, victim, key=jobs)
    head, _, body = envelope.partition(b"\n")
    if how == "moved":
        other = send("r", 1, job_id=victim)
        jobs_r = broker.keys("r")["jobs"]
        forged = broker.link.command(b"HGET", jobs_r, other, key=jobs_r)
    else:
        forged = {
            "changed": head + b"\n" + body.replace(b"[1]", b"[2]"),
            "priority": envelope.replace(b"=5 ", b"=1 ", 1),
            "other key": head.replace(b" a ", b" b ") + b"\n" + body,
            "no signature": b"=5 a \n" + body,
        }[how]
    assert forged != envelope
    broker.link.command(b"HSET", jobs, victim, forged, key=jobs)
    broker.protection = signing("a", "b")
    assert "EnvelopeRefusedError: the job's signature is wrong" in error_of(hand().fetch_one())


def test_keys_rotate(broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]) -> None:
    send("q", 1)
    broker.protection = signing("b", "a")
    send("q", 2)
    first, second = hand().fetch(2)
    assert (first.error, second.error) == (None, None)
    send("q", 3)
    broker.protection = signing("c")
    assert "KeyMissingError: the job is signed with key 'b'" in error_of(hand().fetch_one())


def test_encryption_counts_as_a_signature(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.protection = Protection(ring("e"), ring("a"))
    job_id = send("q", 1)
    jobs = broker.keys("q")["jobs"]
    assert broker.link.command(b"HGET", jobs, job_id, key=jobs).startswith(b"*5 ")
    assert hand().fetch_one().args == (1,)


def test_a_retry_that_a_middleware_changed_is_signed_again(
    broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    class Counting(dramatiq.Middleware):
        def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
            message.options["counted"] = message.options.get("counted", 0) + 1

    broker.add_middleware(Counting())
    seen: list[Any] = []

    @dramatiq.actor(queue_name="q", min_backoff=1, max_backoff=1)
    def twice() -> None:
        seen.append(1)
        if len(seen) == 1:
            raise ValueError

    start_worker()
    job_id = twice.send().message_id
    eventually(lambda: broker.inspector.stats("q").completed == 1)
    job = broker.inspector.job(job_id)
    assert job is not None
    assert (len(seen), job.options["counted"]) == (2, 2)


@pytest.mark.parametrize(
    "damaged", [b"", b"=", b"=5", b"*", b"*5", b"*5 {}\n", b"*5 [1,2,3,4]\nx", b"=x a b\n[]", b"*5 [[],1]\n"]
)
def test_a_damaged_envelope_is_an_error_and_nothing_worse(
    broker: JobyardBroker, anybody: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], damaged: bytes
) -> None:
    job_id = send("q", 1)
    jobs = broker.keys("q")["jobs"]
    broker.link.command(b"HSET", jobs, job_id, damaged, key=jobs)
    for one in (broker, anybody):
        job = one.inspector.job(job_id)
        assert job is not None
        assert job.problem
    assert hand().fetch_one().error is not None
