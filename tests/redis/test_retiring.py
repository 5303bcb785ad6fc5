"""Workers that shall go get no new jobs, and wait in peace for their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from jobyard_operator.redis.pods import release, retire
from support.hand import Hand, Idler, look_up, message
from support.waiting import eventually


def marks(broker: JobyardBroker) -> set[str]:
    """The fields of the policy that speak of workers."""
    fields = broker.server.client().hkeys(broker.keys("q")["policy"])
    return {field.decode() for field in fields if field.startswith(b"retired")}


@pytest.fixture
def idle(hand: Callable[..., Hand]) -> Iterator[Callable[..., Idler]]:
    """Starts workers that ask and wait."""
    made: list[Idler] = []

    def start(worker: Hand | None = None) -> Idler:
        made.append(Idler(worker or hand()))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def test_a_retired_worker_gets_no_job_and_others_do(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    going, staying = hand(), hand()
    assert retire(broker, "q", [going.token, "unknown"]) == {going.token, "unknown"}
    job_id = send()
    assert going.ids() == []
    assert going.dispatcher.waiter.aside == {"q"}
    assert staying.ids() == [job_id]
    assert staying.dispatcher.waiter.aside == set()


def test_a_worker_that_runs_a_job_is_not_retired(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    busy, idle = hand(), hand()
    send()
    job = busy.fetch_one()
    assert retire(broker, "q", [busy.token, idle.token]) == {idle.token}
    assert busy.done(job).stale == 0
    next_one = send()
    assert busy.ids() == [next_one]


def test_what_a_retired_worker_has_of_other_queues_counts_and_it_gets_more_of_them(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand("q", "r")
    first = send("r")
    job = worker.fetch_one()
    assert retire(broker, "q", [worker.token]) == {worker.token}
    send("q")
    second = send("r")
    worker.dispatcher.settle(job)
    assert worker.ids(2) == [second]
    assert look_up(broker, first).state == "completed"


def test_after_its_time_a_worker_gets_jobs_again(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    retire(broker, "q", [worker.token], 0.2)
    job_id = send()
    assert worker.ids() == []
    assert worker.last.wait is not None
    assert 0 < worker.last.wait <= 0.2
    assert eventually(worker.ids, 5) == [job_id]
    assert worker.dispatcher.waiter.aside == set()
    assert marks(broker) == set()


def test_a_released_worker_gets_jobs_again(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    retire(broker, "q", [worker.token, "other"])
    job_id = send()
    assert worker.ids() == []
    assert release(broker, "q", [worker.token, "unknown"]) == 1
    assert worker.ids() == [job_id]
    assert marks(broker) == {"retired", "retired:other"}
    assert release(broker, "q", ["other"]) == 1
    assert marks(broker) == set()


def test_nothing_is_asked_of_redis_for_nobody(broker: JobyardBroker) -> None:
    assert retire(broker, "q", []) == set()
    assert release(broker, "q", []) == 0
    with pytest.raises(ValueError, match="more than 0"):
        retire(broker, "q", ["token"], 0)


def test_marks_that_are_over_go_when_the_next_worker_is_retired(broker: JobyardBroker) -> None:
    retire(broker, "q", ["first"], 0.001)
    now = broker.inspector.stats("q").now
    eventually(lambda: broker.inspector.stats("q").now > now + 1)
    retire(broker, "q", ["second"])
    assert marks(broker) == {"retired", "retired:second"}


def test_the_policy_is_read_and_changed_as_if_there_were_no_such_marks(broker: JobyardBroker) -> None:
    retire(broker, "q", ["token"])
    assert broker.configure("q", QueuePolicy(dead=7, weights={"retired": 2})) == QueuePolicy(
        dead=7, weights={"retired": 2}
    )
    assert broker.inspector.stats("q").policy.dead == 7
    assert marks(broker) == {"retired", "retired:token"}


def test_a_job_that_calls_a_retired_worker_is_passed_on(
    broker: JobyardBroker, idle: Callable[..., Idler], send: Callable[..., str]
) -> None:
    """Redis calls whoever has waited longest: that is the one that was just retired."""
    going = idle()
    eventually(lambda: going.looks == 1)
    staying = idle()
    eventually(lambda: staying.looks == 1)
    assert retire(broker, "q", [going.worker.token])
    ids = [send() for _ in range(20)]
    eventually(lambda: len(staying.took) == 20, 3, what="the other one has them all")
    assert staying.took == ids
    assert going.took == []
    assert going.looks <= 3, "it is called no more"


def test_a_retired_worker_does_not_spin_while_jobs_wait(
    broker: JobyardBroker, idle: Callable[..., Idler], send: Callable[..., str], longest: float
) -> None:
    worker = idle()
    eventually(lambda: worker.looks == 1)
    retire(broker, "q", [worker.worker.token])
    send()
    begin, before = time.monotonic(), worker.looks
    eventually(lambda: worker.looks >= before + 4, 10)
    looks, seconds = worker.looks - before, time.monotonic() - begin
    # Once or twice until it knows.
    assert looks <= 3 + seconds / longest
    assert worker.took == []


def test_a_worker_that_is_released_while_it_waits_looks_at_once(
    broker: JobyardBroker, idle: Callable[..., Idler], send: Callable[..., str]
) -> None:
    worker = idle()
    eventually(lambda: worker.looks == 1)
    retire(broker, "q", [worker.worker.token])
    job_id = send()
    eventually(lambda: bool(worker.worker.dispatcher.waiter.aside))
    release(broker, "q", [worker.worker.token])
    eventually(lambda: worker.took == [job_id], 2, what="it would look by itself after 5 s")
    assert worker.worker.dispatcher.waiter.aside == set()
    assert broker.server.client().exists(broker.keys("q").recall(worker.worker.token)) == 0


def test_a_retired_worker_is_not_the_one_to_wait_for_a_delayed_job(
    broker: JobyardBroker, idle: Callable[..., Idler], send: Callable[..., str]
) -> None:
    going = idle()
    eventually(lambda: going.looks == 1)
    job_id = send("q", delay=700)
    timer = broker.keys("q")["timer"]
    token = going.worker.token.encode()
    eventually(lambda: token in (broker.server.client().get(timer) or b""), what="it waits for the job")
    staying = idle()
    retire(broker, "q", [going.worker.token])
    mine = staying.worker.token.encode()
    eventually(lambda: mine in (broker.server.client().get(timer) or b""), what="the other one waits for it")
    eventually(lambda: staying.took == [job_id], 3)


def test_a_retired_worker_still_looks_after_the_queue(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    """If all workers are retired, leases end and delayed jobs become due all the same."""
    worker = hand()
    job_id = send("q", delay=1)
    retire(broker, "q", [worker.token])
    eventually(lambda: not worker.ids() and look_up(broker, job_id).state == "waiting")


def test_a_worker_with_thousands_of_jobs_beside_it_is_retired(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    broker.enqueue_many(message("q") for _ in range(2500))
    busy, idle = hand(), hand()
    held = 0
    while held < 2500:
        held += len(busy.fetch(1000))
    assert retire(broker, "q", [busy.token, idle.token]) == {idle.token}
