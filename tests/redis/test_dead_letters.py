"""Dead letters: found, tried again (some, all, slowly, with other arguments), discarded."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.dead_letters import DeadFilter
from support.hand import Hand, look_up, message, next_millisecond
from support.waiting import eventually


class MailRefusedError(Exception):
    pass


@pytest.fixture
def letters(broker: JobyardBroker, hand: Callable[..., Hand]) -> dict[str, str]:
    """Four dead letters, the oldest first, by a name for each."""
    worker = hand()
    found = {}
    for name, actor, error in [
        ("mail 1", "mail", MailRefusedError("mailbox full")),
        ("mail 2", "mail", ValueError("no such address")),
        ("image 1", "image", ValueError("not an image")),
        ("image 2", "image", OSError("disk full")),
    ]:
        found[name] = broker.enqueue(message("q", name, actor=actor)).message_id
        worker.bury(worker.fetch_one(), error)
        next_millisecond(broker)
    return found


def chosen(broker: JobyardBroker, which: DeadFilter | None = None) -> list[str]:
    return [job.args[0] for job in broker.dead_letters.select("q", which)]


def test_a_dead_letter_shows_every_attempts_error(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    worker = hand()
    worker.retry(worker.fetch_one())
    try:
        raise MailRefusedError("mailbox full")
    except MailRefusedError as error:
        worker.bury(worker.fetch_one(), error)
    job = look_up(broker, job_id)
    first, second = job.errors
    assert (first["attempt"], first["error"], first["message"]) == (1, "RuntimeError", "on purpose")
    assert (second["attempt"], second["error"], second["message"]) == (2, "MailRefusedError", "mailbox full")
    assert "raise MailRefusedError" in second["traceback"]
    assert second["worker"]
    assert first["started_at"] <= first["ended_at"] <= second["started_at"] <= second["ended_at"] == job.ended_at


def test_of_very_many_attempts_the_first_and_the_last_errors_are_kept(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send()
    worker = hand()
    for _ in range(39):
        worker.retry(worker.fetch_one())
    worker.bury(worker.fetch_one())
    attempts = [error["attempt"] for error in look_up(broker, job_id).errors]
    assert attempts == [*range(1, 6), *range(21, 41)]


def test_long_errors_are_shortened(broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]) -> None:
    job_id = send()
    worker = hand()
    worker.bury(worker.fetch_one(), ValueError("x" * 1_000_000))
    (error,) = look_up(broker, job_id).errors
    assert len(error["message"]) < 2100


def test_an_error_that_can_not_be_shown_is_kept_all_the_same(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    worker = hand()
    first, second = send(), send()
    one, two = worker.fetch(2)
    worker.bury(one, BrokenError())
    worker.bury(two, ValueError("half a pair: \ud800"))
    assert look_up(broker, first).errors[0]["error"] == "BrokenError"
    assert "half a pair" in look_up(broker, second).errors[0]["message"]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (None, ["mail 1", "mail 2", "image 1", "image 2"]),
        (DeadFilter(actor="mail"), ["mail 1", "mail 2"]),
        (DeadFilter(error="ValueError"), ["mail 2", "image 1"]),
        (DeadFilter(error="full"), ["mail 1", "image 2"]),
        (DeadFilter(actor="image", error="ValueError"), ["image 1"]),
        (DeadFilter(limit=2), ["mail 1", "mail 2"]),
        (DeadFilter(actor="image", limit=1), ["image 1"]),
        (DeadFilter(older_than=60_000), []),
        (DeadFilter(older_than=0), ["mail 1", "mail 2", "image 1", "image 2"]),
        (DeadFilter(actor="nobody"), []),
    ],
)
def test_dead_letters_can_be_chosen(
    broker: JobyardBroker, letters: dict[str, str], which: DeadFilter | None, expected: list[str]
) -> None:
    assert chosen(broker, which) == expected


def test_the_newest_dead_letters_are_listed_first(broker: JobyardBroker, letters: dict[str, str]) -> None:
    listed = broker.inspector.jobs("q", "dead", limit=2)
    assert [job.args[0] for job in listed] == ["image 2", "image 1"]


def test_some_can_be_tried_again_with_all_their_attempts_and_their_history(
    broker: JobyardBroker, hand: Callable[..., Hand], letters: dict[str, str]
) -> None:
    assert broker.dead_letters.retry("q", [letters["mail 2"], letters["image 2"], "unknown"]) == 2
    again = hand().fetch(9)
    assert [job.args[0] for job in again] == ["mail 2", "image 2"]
    assert {job.attempt for job in again} == {1}
    assert len(look_up(broker, letters["mail 2"]).errors) == 1
    assert chosen(broker) == ["mail 1", "image 1"]
    assert broker.inspector.stats("q").counts["revived"] == 2


def test_all_that_fit_can_be_tried_again(
    broker: JobyardBroker, hand: Callable[..., Hand], letters: dict[str, str]
) -> None:
    assert broker.dead_letters.retry_all("q", DeadFilter(error="ValueError")) == 2
    assert [job.args[0] for job in hand().fetch(9)] == ["mail 2", "image 1"]
    assert broker.dead_letters.retry_all("q") == 2
    assert chosen(broker) == []


def test_they_can_be_tried_again_at_a_rate(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    worker = hand()
    sent = [broker.enqueue(message()).message_id for _ in range(5)]
    for _ in sent:
        worker.bury(worker.fetch_one())
        next_millisecond(broker)
    assert broker.dead_letters.retry_all("q", rate=10) == 5
    assert worker.ids(9) == sent[:1]
    due = [look_up(broker, job_id).due_at for job_id in sent[1:]]
    assert [later - soon for soon, later in itertools.pairwise(due)] == [100, 100, 100]
    assert eventually(lambda: worker.ids(9), 2) == sent[1:2]


@pytest.mark.parametrize("rate", [0, -1])
def test_a_senseless_rate_is_refused(broker: JobyardBroker, letters: dict[str, str], rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        broker.dead_letters.retry_all("q", rate=rate)
    assert len(chosen(broker)) == 4


def test_arguments_can_be_edited_before_another_try(
    broker: JobyardBroker, hand: Callable[..., Hand], letters: dict[str, str]
) -> None:
    job_id = letters["mail 2"]
    before = broker.inspector.job(job_id)
    assert broker.dead_letters.edit_and_retry("q", job_id, lambda args, kwargs: (["other"], {**kwargs, "cc": 1}))
    job = hand().fetch_one()
    assert (job.message_id, job.actor_name, job.args, job.kwargs) == (job_id, "mail", ("other",), {"cc": 1})
    assert (job.priority, job.message_timestamp) == (before.priority, before.created_at)
    assert not broker.dead_letters.edit_and_retry("q", job_id, lambda args, kwargs: (args, kwargs))
    assert not broker.dead_letters.edit_and_retry("q", "unknown", lambda args, kwargs: (args, kwargs))


def test_an_edit_that_can_not_be_stored_changes_nothing(broker: JobyardBroker, letters: dict[str, str]) -> None:
    with pytest.raises(TypeError):
        broker.dead_letters.edit_and_retry("q", letters["mail 1"], lambda args, kwargs: ([object()], kwargs))
    assert len(chosen(broker)) == 4


def test_a_job_that_can_not_be_read_is_not_overwritten_by_an_edit(
    broker: JobyardBroker, letters: dict[str, str]
) -> None:
    client, key = broker.server.client(), broker.keys("q")["jobs"]
    client.hset(key, letters["mail 1"], b"damaged")
    with pytest.raises(ValueError, match="can't be read"):
        broker.dead_letters.edit_and_retry("q", letters["mail 1"], lambda args, kwargs: ([1], kwargs))
    assert client.hget(key, letters["mail 1"]) == b"damaged"


def test_some_can_be_discarded(broker: JobyardBroker, letters: dict[str, str]) -> None:
    assert broker.dead_letters.discard("q", [letters["mail 1"], "unknown"]) == 1
    assert broker.dead_letters.discard("q", []) == 0
    assert broker.dead_letters.discard_all("q", DeadFilter(actor="image")) == 2
    assert chosen(broker) == ["mail 2"]
    assert broker.inspector.job(letters["mail 1"]) is None
    assert broker.inspector.stats("q").counts["discarded"] == 3


@pytest.mark.parametrize("state", ["waiting", "active", "completed"])
def test_only_dead_letters_are_discarded_or_revived(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str], state: str
) -> None:
    job_id = send()
    worker = hand()
    if state != "waiting":
        job = worker.fetch_one()
        if state == "completed":
            worker.done(job)
    assert broker.dead_letters.discard("q", [job_id]) == 0
    assert broker.dead_letters.retry("q", [job_id]) == 0
    assert look_up(broker, job_id).state == state


def test_many_are_chosen_and_revived_in_pages(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    broker.enqueue_many([message("q", number) for number in range(1200)])
    worker = hand()
    while jobs := worker.fetch(1000):
        for job in jobs:
            job.stuff_exception(ValueError())
            job.fail()
            worker.dispatcher.settle(job)
    assert sum(1 for _ in broker.dead_letters.select("q")) == 1200
    assert broker.dead_letters.retry_all("q", DeadFilter(limit=1100)) == 1100
    stats = broker.inspector.stats("q")
    assert (stats.waiting, stats.dead) == (1100, 100)


def test_an_actor_hears_of_a_death(broker: JobyardBroker, start_worker: Callable[..., object]) -> None:
    heard: list[tuple[object, object]] = []

    @dramatiq.actor(queue_name="q")
    def undertaker(dead: dict[str, object], error: dict[str, str]) -> None:
        heard.append((dead["message_id"], error))

    @dramatiq.actor(queue_name="q", max_retries=0, on_dead="undertaker")
    def work() -> None:
        raise MailRefusedError("mailbox full")

    start_worker()
    sent = work.send()
    eventually(lambda: heard)
    assert heard == [(sent.message_id, {"type": "MailRefusedError", "message": "mailbox full"})]
