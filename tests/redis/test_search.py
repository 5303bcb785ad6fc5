"""Searching: what is found, that a cursor stays true while jobs move, and that a call does a bounded amount of work."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobyard.broker import JobyardBroker, search
from jobyard.broker.filters import JobFilter
from jobyard.broker.inspector import Job
from jobyard.broker.link import Link
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.search import CursorError
from support.hand import Hand, message, next_millisecond
from support.snapshot import snapshot


def all_pages(broker: JobyardBroker, which: JobFilter | None = None, limit: int = 3) -> Iterator[list[Job]]:
    cursor: str | None = None
    while True:
        page = broker.inspector.search(which, cursor, limit)
        yield page.jobs
        cursor = page.cursor
        if cursor is None:
            return


def everything(broker: JobyardBroker, which: JobFilter | None = None, limit: int = 3) -> list[str]:
    return [job.id for page in all_pages(broker, which, limit) for job in page]


def names(jobs: list[Job]) -> list[Any]:
    return [job.args[0] for job in jobs]


@pytest.fixture
def one_of_each(broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]) -> dict[str, str]:
    """A job in each state of queue `q`, in the order in which they are listed."""
    worker = hand()
    found = {"dead": send()}
    worker.bury(worker.fetch_one(), ValueError("mailbox full"))
    found["completed"] = send()
    worker.done(worker.fetch_one(), b'"result"')
    found["cancelled"] = send()
    broker.cancel(found["cancelled"])
    broker.configure("q", QueuePolicy(key_concurrency=1))
    found["active"] = broker.enqueue(message("q", key="k")).message_id
    found["parked"] = broker.enqueue(message("q", key="k")).message_id
    worker.fetch(2)
    found["delayed"] = send(delay=60_000)
    found["waiting"] = send()
    order = ("active", "waiting", "parked", "delayed", "dead", "completed", "cancelled")
    return {state: found[state] for state in order}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_jobs_of_all_states_and_queues_come_page_by_page(
    broker: JobyardBroker, one_of_each: dict[str, str], send: Callable[..., str], limit: int
) -> None:
    other = send("other")
    expected = list(one_of_each.values())
    expected.insert(1, other)  # Waiting, and its queue comes before q.
    pages = list(all_pages(broker, limit=limit))
    assert [job.id for page in pages for job in page] == expected
    assert all(len(page) <= limit for page in pages)


def test_each_state_can_be_asked_for(broker: JobyardBroker, one_of_each: dict[str, str]) -> None:
    for state, job_id in one_of_each.items():
        (job,) = broker.inspector.search(JobFilter(queue="q", states=(state,))).jobs
        assert job == broker.inspector.job(job_id)
        assert job.state == state


def test_what_is_in_a_job_can_be_asked_for(broker: JobyardBroker, one_of_each: dict[str, str]) -> None:
    tagged = message("q", "x", tags=["vip"])
    tagged = tagged.copy(kwargs={"order": {"id": 5}})
    broker.enqueue(tagged)
    for which in (JobFilter(tag="vip"), JobFilter(argument={"order.id": "5"}), JobFilter(text='"id":5')):
        assert everything(broker, which) == [tagged.message_id]
    assert everything(broker, JobFilter(error="ValueError")) == [one_of_each["dead"]]
    assert everything(broker, JobFilter(error="mailbox", states=("completed",))) == []
    assert everything(broker, JobFilter(queue="nothing")) == []


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_a_search_by_tag_goes_page_by_page_over_states_and_queues(
    broker: JobyardBroker, hand: Callable[..., Hand], limit: int
) -> None:
    sent = [message("ab"[number % 2], number, tags=["vip", f"n{number % 3}"]) for number in range(20)]
    broker.enqueue_many([*sent, *(message("a", number) for number in range(10))])
    worker = hand("a", "b")
    worker.done(worker.fetch_one())
    worker.bury(worker.fetch_one())
    expected = sorted((one.queue_name, one.message_id) for one in sent)
    assert everything(broker, JobFilter(tag="vip"), limit) == [job_id for _, job_id in expected]
    third = JobFilter(tag="vip", queue="a", text="1", states=("waiting",))
    assert {job.args[0] for page in all_pages(broker, third, limit) for job in page} == {10, 12, 14, 16, 18}
    page = broker.inspector.search(third, limit=100)
    assert page.searched == 10, "others are not looked at"


def test_jobs_that_go_between_two_pages_of_a_tag_do_not_move_the_others(broker: JobyardBroker) -> None:
    sent = sorted((message("q", number, tags=["vip"]) for number in range(9)), key=lambda one: one.message_id)
    broker.enqueue_many(sent)
    first = broker.inspector.search(JobFilter(tag="vip"), limit=3)
    for one in sent[1:4]:
        broker.bulk.discard(JobFilter(tag="vip", argument={"0": one.args[0]}, states=("waiting",)))
    second = broker.inspector.search(JobFilter(tag="vip"), first.cursor, limit=3)
    assert [job.id for job in second.jobs] == [one.message_id for one in sent[4:7]]


def test_jobs_are_found_by_the_time_of_their_end(broker: JobyardBroker, hand: Callable[..., Hand]) -> None:
    worker = hand()
    for number in range(5):
        broker.enqueue(message("q", number))
        worker.bury(worker.fetch_one())
        next_millisecond(broker)
    found = broker.inspector.search(JobFilter(queue="q", states=("dead",))).jobs
    assert names(found) == [4, 3, 2, 1, 0]
    middle = found[2].ended_at
    assert middle is not None
    assert names(broker.inspector.search(JobFilter(ended_after=middle)).jobs) == [4, 3, 2]
    assert names(broker.inspector.search(JobFilter(ended_before=middle)).jobs) == [1, 0]
    assert names(broker.inspector.search(JobFilter(ended_after=middle, ended_before=middle + 1)).jobs) == [2]
    assert [names(page) for page in all_pages(broker, JobFilter(ended_after=middle), 1)] == [[4], [3], [2]]


def test_jobs_that_come_and_go_between_two_pages_do_not_move_the_others(broker: JobyardBroker) -> None:
    sent = [message("q", number) for number in range(30)]
    broker.enqueue_many(sent)
    first = broker.inspector.search(JobFilter(queue="q"), limit=10)
    # Those that were seen go, also the very one on which the cursor stands; some of the next go; others come in front.
    for one in (*sent[:10], sent[10], sent[15]):
        broker.cancel(one.message_id)
    broker.enqueue_many([message("q", 100 + number, priority=0) for number in range(5)])
    second = broker.inspector.search(JobFilter(queue="q"), first.cursor, limit=10)
    assert names(first.jobs) == list(range(10))
    assert names(second.jobs) == [11, 12, 13, 14, 16, 17, 18, 19, 20, 21]


def test_jobs_that_ended_in_the_same_millisecond_are_told_apart(broker: JobyardBroker) -> None:
    broker.enqueue_many([message("q", job_id=f"job-{number}") for number in range(40)])
    client, keys = broker.server.client(), broker.keys("q")
    # Cancelled in one call, which has one time.
    broker.cancel_many("q", [f"job-{number}" for number in range(40)])
    assert len({score for _, score in client.zrange(keys["cancelled"], 0, -1, withscores=True)}) == 1
    seen: list[str] = []
    cursor = None
    while True:
        page = broker.inspector.search(JobFilter(queue="q"), cursor, 7)
        seen += [job.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            break
        # Retention takes the one on which the cursor stands, and one that is still to come.
        for gone in (page.jobs[-1].id, "job-1"):
            client.zrem(keys["cancelled"], gone)
            client.hdel(keys["jobs"], gone)
    assert len(seen) == len(set(seen))
    assert set(seen) | {"job-1"} == {f"job-{number}" for number in range(40)}


def test_a_search_goes_on_where_its_queue_is_gone(broker: JobyardBroker, send: Callable[..., str]) -> None:
    for queue in "abc":
        send(queue), send(queue)
    page = broker.inspector.search(limit=3)
    assert page.cursor is not None
    client = broker.server.client()
    client.srem(f"{broker.namespace}:queues", "b")
    rest = broker.inspector.search(None, page.cursor, 10)
    assert [job.queue for job in rest.jobs] == ["c", "c"]
    client.sadd(f"{broker.namespace}:queues", "b")


def test_a_call_looks_at_a_bounded_number_of_jobs_however_many_there_are(
    broker: JobyardBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.enqueue_many([message("q", number) for number in range(10_000)])
    calls: list[str] = []
    real = Link.call

    def counted(link: Link, one: Any, *arguments: Any) -> Any:
        calls.append(one.name)
        return real(link, one, *arguments)

    monkeypatch.setattr(Link, "call", counted)
    which = JobFilter(argument={"0": 9_999})
    first = broker.inspector.search(which)
    assert (first.jobs, first.searched) == ([], search.MOST_SEARCHED)
    assert len(calls) <= search.MOST_SEARCHED / 250 + 1
    second = broker.inspector.search(which, first.cursor)
    assert (names(second.jobs), second.searched) == ([9_999], 5_000)
    calls.clear()
    assert len(broker.inspector.search(limit=100).jobs) == 100
    assert len(calls) == 3, "a page of a list costs no more where there are many"


def test_a_call_asks_a_bounded_number_of_queues(broker: JobyardBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_CALLS", 5)
    broker.enqueue_many([message(f"q{number:02}") for number in range(12)])
    pages = list(all_pages(broker, JobFilter(), 100))
    assert 3 <= len(pages) <= 30
    assert [job.queue for page in pages for job in page] == [f"q{number:02}" for number in range(12)]


def test_searching_changes_nothing(broker: JobyardBroker, one_of_each: dict[str, str]) -> None:
    before = snapshot(broker)
    everything(broker, JobFilter(text="x"))
    everything(broker)
    assert snapshot(broker) == before


def forged(*content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def test_a_cursor_that_was_not_given_out_for_the_search_is_refused(
    broker: JobyardBroker, one_of_each: dict[str, str]
) -> None:
    cursor = broker.inspector.search(limit=1).cursor
    assert cursor is not None
    own = json.loads(base64.urlsafe_b64decode(cursor + "=="))[0]
    for wrong in (
        "", "x", "ä", "!!", cursor[:-3], "[" * 100_000, forged(own, "failed", "q", None), forged(own, "dead", 5, None),
        forged(own, "dead", "q", ["bmFu", "eA=="]), forged(own, "dead", "q", ["MQ=="]), forged(own, "dead", "q", 5),
        forged(), forged([own]),
    ):  # fmt: skip
        with pytest.raises(CursorError):
            broker.inspector.search(None, wrong)
    with pytest.raises(CursorError):
        broker.inspector.search(JobFilter(actor="other"), cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_has_bounds(broker: JobyardBroker, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        broker.inspector.search(limit=limit)
