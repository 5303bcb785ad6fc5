"""Tags: jobs are found by them in whatever state they are, and nothing is left of them when a job is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from support.hand import Hand


def tagged(broker: JobyardBroker, tag: str, limit: int = 1000) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        ids, cursor = broker.inspector.ids_by_tag("q", tag, cursor, limit)
        found += ids
        if cursor is None:
            return found


def test_a_job_is_found_by_its_tags_in_every_state(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    waiting, delayed = send(tags=["red", "blue"]), send(tags=["red"], delay=60_000)
    send(tags=["redder"])
    send()
    assert tagged(broker, "red") == sorted([waiting, delayed])
    assert tagged(broker, "blue") == [waiting]
    worker = hand()
    active = worker.fetch(1)
    assert [one.message_id for one in active] == [waiting]
    assert tagged(broker, "blue") == [waiting]
    worker.dispatcher.settle(active[0])
    worker.fetch(0)
    job = broker.inspector.job(waiting)
    assert job is not None
    assert (job.state, job.tags) == ("completed", ("red", "blue"))
    assert tagged(broker, "red") == sorted([waiting, delayed])


def test_pages_go_on_after_the_last_job_that_was_seen(broker: JobyardBroker, send: Callable[..., str]) -> None:
    ids = sorted(send(tags=["red"]) for _ in range(10))
    assert tagged(broker, "red", limit=3) == ids
    first, cursor = broker.inspector.ids_by_tag("q", "red", None, 3)
    broker.cancel(ids[0])
    broker.flush("q")  # All but the cancelled one are forgotten.
    assert first == ids[:3]
    assert broker.inspector.ids_by_tag("q", "red", cursor, 3) == ([], None)
    assert tagged(broker, "red") == [ids[0]]


def test_what_retention_takes_away_is_no_longer_in_the_index(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    broker.configure("q", QueuePolicy(completed=1))
    for number in range(3):
        send("q", number, tags=["red", "blue"])
    worker = hand()
    for delivery in worker.fetch(3):
        worker.dispatcher.settle(delivery)
        worker.fetch(0)
    worker.fetch(1)
    assert len(tagged(broker, "red")) == len(tagged(broker, "blue")) == 1
    broker.configure("q", QueuePolicy(completed_ttl=0))
    worker.fetch(1)
    assert tagged(broker, "red") == tagged(broker, "blue") == []


def test_a_debounced_job_takes_its_tags_along(broker: JobyardBroker, send: Callable[..., str]) -> None:
    send(tags=["old"], unique="u", debounce=True)
    second = send(tags=["new"], unique="u", debounce=True)
    assert tagged(broker, "old") == []
    assert tagged(broker, "new") == [second]


def test_an_actor_says_tags_for_all_its_jobs_and_a_message_says_others(broker: JobyardBroker) -> None:
    @dramatiq.actor(queue_name="q", tags=lambda tenant: ["mail", f"tenant:{tenant}", "mail"])
    def notify(tenant: str) -> None: ...

    own = notify.send("acme").message_id
    other = notify.send_with_options(args=("acme",), tags=["one-off"]).message_id
    none = notify.send_with_options(args=("acme",), tags=[]).message_id
    assert tagged(broker, "mail") == tagged(broker, "tenant:acme") == [own]
    assert tagged(broker, "one-off") == [other]
    jobs = {job.id: job.tags for job in broker.inspector.jobs_by_id("q", [own, other, none])}
    assert jobs == {own: ("mail", "tenant:acme"), other: ("one-off",), none: ()}


@pytest.mark.parametrize(
    "wrong",
    [
        {"tags": "red"},
        {"tags": 5},
        {"tags": [""]},
        {"tags": [1]},
        {"tags": ["x" * 65]},
        {"tags": ["a\nb"]},
        {"tags": [f"t{number}" for number in range(17)]},
        {"dependency": ""},
        {"dependency": 5},
        {"dependency": "a\0b"},
    ],
)
def test_tags_and_dependencies_that_make_no_sense_are_refused(
    broker: JobyardBroker, send: Callable[..., str], wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        send(**wrong)
    assert broker.inspector.queues() == []


def test_a_dependency_stands_beside_the_job(broker: JobyardBroker, send: Callable[..., str]) -> None:
    job_id = send(dependency="smtp", key="k")
    key = broker.keys("q")["traits"]
    assert broker.link.command(b"HGET", key, job_id, key=key) == b"k\0\0\0smtp\0"
