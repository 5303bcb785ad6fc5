"""Failure groups: counted by the script that ends an attempt, with their dead letters, which are retried or discarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.bulk import Outcome
from jobyard.broker.delivery import describe
from jobyard.broker.failures import FailureGroup
from jobyard.broker.filters import JobFilter
from jobyard.broker.link import Link
from jobyard.broker.policy import QueuePolicy
from support.hand import Hand, look_up, message
from support.waiting import eventually


def bury(broker: JobyardBroker, worker: Hand, *errors: BaseException, actor: str = "work") -> list[str]:
    found = []
    for error in errors:
        found.append(broker.enqueue(message("q", actor=actor)).message_id)
        worker.bury(worker.fetch_one(), error)
    return found


def only(broker: JobyardBroker) -> FailureGroup:
    (group,) = broker.failures.groups("q")
    return group


def test_failures_that_are_the_same_are_counted_together(
    broker: JobyardBroker, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = hand()
    first = bury(broker, worker, OSError("disk 1 is full"))
    monkeypatch.setenv("JOBYARD_IMAGE", "shop:2")
    *_, last = bury(broker, worker, OSError("disk 22 is full"), OSError("disk 3 is full"), actor="other")
    bury(broker, worker, ValueError("no such address"))
    groups = {group.error: group for group in broker.failures.groups()}
    assert set(groups) == {"OSError", "ValueError"}
    disk = groups["OSError"]
    assert (disk.queue, disk.template, disk.count, disk.dead) == ("q", "disk # is full", 3, 3)
    assert (disk.actors, disk.sample, disk.image) == (("work", "other"), last, "shop:2")
    assert disk.first_seen == look_up(broker, first[0]).ended_at
    assert disk.last_seen == look_up(broker, last).ended_at
    assert look_up(broker, last).errors[-1]["group"] == disk.fingerprint
    assert broker.failures.groups("nothing") == []


def test_attempts_that_are_retried_count_and_are_not_dead(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    worker = hand()
    worker.retry(worker.fetch_one())
    worker.retry(worker.fetch_one())
    assert (only(broker).count, only(broker).dead) == (2, 0)
    worker.bury(worker.fetch_one())
    assert (only(broker).count, only(broker).dead, only(broker).sample) == (3, 1, job_id)


def test_dead_letters_of_one_group_are_retried_and_discarded(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    worker = hand()
    disk = bury(broker, worker, *(OSError(f"disk {number} is full") for number in range(4)))
    (other,) = bury(broker, worker, ValueError("no"))
    group = look_up(broker, disk[0]).errors[-1]["group"]
    assert broker.failures.retry("q", group, limit=1, dry_run=True).matched == 1
    assert broker.failures.retry("q", group, rate=0.1, limit=2).changed == 2
    assert broker.failures.discard("q", group).changed == 2
    dead = {one.fingerprint: one.dead for one in broker.failures.groups("q")}
    assert dead == {group: 0, look_up(broker, other).errors[-1]["group"]: 1}
    assert broker.failures.discard("q", group) == Outcome()
    assert broker.inspector.search(JobFilter(group=group)).jobs, "it is the last error of those that are retried"


def test_letters_that_retention_takes_are_dead_no_more(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    worker = hand()
    bury(broker, worker, *(OSError("full") for _ in range(5)))
    broker.configure("q", QueuePolicy(dead=2))
    worker.fetch()
    assert (only(broker).count, only(broker).dead) == (5, 2)


def test_the_groups_that_were_seen_last_are_kept(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    worker = hand()
    errors = [type(f"E{number}Error", (Exception,), {})("no") for number in range(510)]
    letters = bury(broker, worker, *errors)
    groups = broker.failures.groups("q")
    assert len(groups) == 500
    assert {group.error for group in groups} <= {f"E{number}Error" for number in range(510)}
    client, keys = broker.server.client(), broker.keys("q")
    assert client.hlen(keys["failures"]) == 1000, "nothing is left of those that are forgotten"
    assert broker.dead_letters.discard("q", letters) == 510
    assert client.hlen(keys["failures"]) == 500
    assert client.exists(keys["letters"]) == 0


def test_ends_that_are_no_exceptions_have_fixed_fingerprints(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.pause("q")  # So that it can't be started in time.
    broker.enqueue(message("q", expires=1))
    worker = hand()
    eventually(lambda: worker.fetch() == [] and broker.inspector.stats("q").dead == 1)
    broker.resume("q")
    send()
    hand(lease=0.01).fetch_one()
    eventually(lambda: worker.fetch())
    groups = {group.fingerprint: group for group in broker.failures.groups("q")}
    assert set(groups) == {"Expired", "LeaseExpired"}
    assert (groups["Expired"].dead, groups["LeaseExpired"].dead) == (1, 0)
    assert groups["LeaseExpired"].template == "the worker stopped renewing its lease"


def test_deadlines_have_a_fixed_fingerprint_too_and_failures_before_them_keep_theirs(
    broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    worker = hand()
    broker.enqueue(message("q", deadline=60_000))
    worker.retry(worker.fetch_one(), 120_000)  # Never: that would be after it.
    broker.pause("q")  # So that it can't be started in time.
    broker.enqueue(message("q", deadline=1))
    eventually(lambda: worker.fetch() == [] and broker.inspector.stats("q").dead == 2)
    groups = {group.error: group for group in broker.failures.groups("q")}
    assert {error: group.dead for error, group in groups.items()} == {"RuntimeError": 1, "DeadlineExceeded": 1}
    assert groups["DeadlineExceeded"].fingerprint == "DeadlineExceeded"


def test_jobs_that_succeed_cost_nothing(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    worker = hand()
    send()
    worker.done(worker.fetch_one())
    client, keys = broker.server.client(), broker.keys("q")
    assert client.exists(keys["failures"], keys["failures_seen"], keys["letters"]) == 0


@pytest.mark.parametrize(
    "cause",
    [
        b'{"error":"x"}',
        b'{"group":"g1","error":5,"template":["x"]}',
        b'{"group":"g1","error":"E","message":"\\"group\\":\\"g2\\""}',
        b'{"group":"g1",',
        b'{"group":"no group","error":"E"}',
    ],
)
def test_what_cannot_be_read_of_an_error_does_no_harm(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], cause: bytes
) -> None:
    job_id = send()
    worker = hand()
    worker.fetch_one()
    broker.revoke(worker.token, cause)
    assert broker.inspector.stats("q").waiting == 1
    assert {group.fingerprint for group in broker.failures.groups("q")} <= {"g1"}
    assert hand().ids() == [job_id]


def test_a_record_that_was_damaged_is_begun_anew(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    worker = hand()
    bury(broker, worker, OSError("full"))
    client, keys, group = broker.server.client(), broker.keys("q"), only(broker).fingerprint
    for damaged in ("{", "5", "null", '{"count":"x","first_seen":{},"actors":"y"}'):
        client.hset(keys["failures"], group, damaged)
        bury(broker, worker, OSError("full"))
        assert only(broker).count == 1
    assert only(broker).dead == 5
    client.hset(keys["failures"], group, '{"count":1e999}')
    bury(broker, worker, OSError("full"))
    client.hset(keys["failures"], group, "{")
    assert broker.failures.groups("q") == []


def test_a_long_error_is_read_once_and_not_once_for_each_of_its_letters(
    broker: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    worker = hand()
    broker.enqueue_many([message("q", number) for number in range(100)])
    client = broker.server.client()
    for delivery in worker.fetch(100):
        delivery.stuff_exception(OSError("x" * 2_000))
        delivery._kept_error = describe(OSError("y" * 2_000), more="z" * 50_000)
        delivery.fail()
        worker.dispatcher.settle(delivery)
    before = client.info("commandstats")["cmdstat_evalsha"]["usec"]
    worker.fetch(0)
    assert broker.inspector.search(JobFilter(error="OSError"), limit=100).searched == 100
    used = client.info("commandstats")["cmdstat_evalsha"]["usec"] - before
    # It is 0.1 s here; in the other case it would be a minute. The server is shared, and may be busy.
    assert used < 20_000_000


def test_a_call_that_is_sent_twice_counts_once(
    broker: JobyardBroker, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Link.call

    def twice(link: Link, one: Any, keys: Any, arguments: Any = ()) -> Any:
        arguments = tuple(arguments)
        real(link, one, keys, arguments)
        return real(link, one, keys, arguments)

    worker = hand()
    monkeypatch.setattr(Link, "call", twice)
    bury(broker, worker, OSError("full"))
    monkeypatch.undo()
    assert (only(broker).count, only(broker).dead) == (1, 1)


def test_a_real_worker_names_the_place(broker: JobyardBroker, start_worker: Callable[..., Any]) -> None:
    def helper(number: int) -> None:
        raise LookupError(f"order {number} is unknown")

    @dramatiq.actor(queue_name="q", max_retries=1, min_backoff=1)
    def fails(number: int) -> None:
        helper(number)

    start_worker(threads=2)
    for number in range(3):
        fails.send(number)
    eventually(lambda: broker.inspector.stats("q").dead == 3)
    group = only(broker)
    assert (group.error, group.template, group.count, group.dead) == ("LookupError", "order # is unknown", 6, 3)
    assert group.place.endswith("<locals>.helper")
    assert group.actors == ("fails",)
