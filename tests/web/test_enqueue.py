"""`POST /api/jobs` and `POST /api/jobs/bulk`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, Field

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.workers import Announcement, Register
from jobyard.priority import PriorityField
from jobyard.web.requests import LARGEST_BODY
from web.conftest import Answer, Client


@pytest.fixture(autouse=True)
def at_work(broker: JobyardBroker) -> Iterator[None]:
    """A worker that says it serves `emails` and has two actors."""
    register = Register(broker, "0123456789abcdef")
    register.announce(
        Announcement(
            name="pod/1", pod=None, queues=["emails"], actors=["welcome", "goodbye"], threads=1, running=[],
            draining=False, completed=0, failed=0, started_at=0, version="1",
        )
    )  # fmt: skip
    yield
    register.close()


def order(**more: Any) -> dict[str, Any]:
    return {"actor": "welcome", "queue": "emails", **more}


def wrong(answer: Answer) -> list[str]:
    assert answer.status == 422, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    return [error["path"] for error in answer.json["errors"]]


def test_a_job_is_enqueued_with_all_that_it_asks_for(web: Client, broker: JobyardBroker) -> None:
    answer = web.post(
        "/api/jobs",
        order(
            args=[1, {"a": None}], kwargs={"to": "Grüße"}, priority="high", key="acme", tags=["tenant:acme"],
            expires_ms=60_000, deadline_ms=90_000, max_retries=7, min_backoff_ms=10, max_backoff_ms=20, time_limit_ms=5000,
        ),
    )  # fmt: skip

    assert answer.status == 201
    assert answer.json["queue"] == "emails"
    job = broker.inspector.job(answer.json["job_id"])
    assert (job.actor, job.args, job.kwargs, job.priority, job.state) == (
        "welcome", (1, {"a": None}), {"to": "Grüße"}, 2, "waiting",
    )  # fmt: skip
    assert job.options == {
        "priority": 2, "key": "acme", "tags": ["tenant:acme"], "expires": 60_000, "deadline": 90_000,
        "max_retries": 7, "min_backoff": 10, "max_backoff": 20, "time_limit": 5000,
    }  # fmt: skip
    assert web.get(answer.headers["Location"]).json["job_id"] == job.id
    assert [one["job_id"] for one in web.get("/api/jobs?tag=tenant:acme").json["jobs"]] == [job.id]


def test_a_job_is_delayed_by_or_until(web: Client, broker: JobyardBroker) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    now = broker.inspector.stats("emails").now
    for said in ({"delay_ms": 3_600_000}, {"run_at": later}):
        job = broker.inspector.job(web.post("/api/jobs", order(**said)).json["job_id"])
        assert job.state == "delayed"
        assert abs(job.due_at - now - 3_600_000) < 60_000
    past = web.post("/api/jobs", order(run_at="2001-01-01T00:00:00Z"))
    assert broker.inspector.job(past.json["job_id"]).state == "waiting"


def test_an_idempotency_key_that_is_known_gives_the_first_job(web: Client, broker: JobyardBroker) -> None:
    first = web.post("/api/jobs", order(args=["first"], idempotency_key="order-7"))
    again = web.post("/api/jobs", order(args=["second"], idempotency_key="order-7"))

    assert (first.status, again.status) == (201, 200)
    assert again.json["job_id"] == first.json["job_id"]
    assert again.json["args"] == ["first"]
    assert again.headers["Content-Location"] == first.headers["Location"]
    assert broker.inspector.stats("emails").waiting == 1


def test_a_second_job_with_a_unique_key_is_refused_with_the_first_ones_id(web: Client, broker: JobyardBroker) -> None:
    first = web.post("/api/jobs", order(unique="report-7"))
    second = web.post("/api/jobs", order(unique="report-7"))

    assert second.status == 409
    assert second.json["type"] == "urn:jobyard:problem:duplicate"
    assert second.json["job_id"] == first.json["job_id"]
    third = web.post("/api/jobs", order(unique="report-7", debounce=True))
    assert third.status == 201
    assert web.get(f"/api/jobs/{first.json['job_id']}").status == 404
    assert broker.inspector.stats("emails").waiting == 1


def test_a_rate_that_is_used_up_says_when_to_come_back(web: Client, broker: JobyardBroker) -> None:
    broker.configure("emails", QueuePolicy(rate=1, rate_period=60_000, rate_mode="reject"))
    assert web.post("/api/jobs", order()).status == 201

    answer = web.post("/api/jobs", order())

    assert answer.status == 429
    assert answer.json["type"] == "urn:jobyard:problem:rate-limited"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert 0 < answer.json["retry_after"] <= 60
    assert broker.inspector.stats("emails").waiting == 1


def test_an_actor_that_no_worker_has_is_refused_unless_forced(web: Client, broker: JobyardBroker) -> None:
    answer = web.post("/api/jobs", order(actor="welcom"))

    assert wrong(answer) == ["actor"]
    assert "goodbye, welcome" in answer.json["detail"]
    assert wrong(web.post("/api/jobs", order(queue="images"))) == ["actor"]
    assert web.post("/api/jobs", order(actor="later", force=True)).status == 201


class Parcel(BaseModel):
    weight: float = Field(gt=0)
    to: list[str]
    priority: PriorityField = None


@pytest.fixture
def knows_parcels(serve: Callable[..., Client], make_broker: Callable[..., JobyardBroker], redis_url: str) -> Client:
    """A server that has imported the actor `ship` of queue `parcels`."""
    from jobyard.web.server import WebServer
    from jobyard.web.settings import WebSettings

    broker = make_broker(redis_url, patience=0.2)

    @jobyard.actor(queue_name="parcels", payload=Parcel, broker=broker)
    def ship(parcel: Parcel) -> None: ...

    server = WebServer(broker, WebSettings(web_port=0)).start()
    yield Client(server.url)
    server.stop()


def test_a_payload_that_is_known_here_is_checked_with_its_paths(knows_parcels: Client, broker: JobyardBroker) -> None:
    web = knows_parcels

    assert wrong(web.post("/api/jobs", {"actor": "ship", "kwargs": {"weight": -1, "to": ["a", 2]}})) == [
        "kwargs.weight", "kwargs.to.1",
    ]  # fmt: skip
    assert wrong(web.post("/api/jobs", {"actor": "ship", "args": [1]})) == ["args"]
    done = web.post("/api/jobs", {"actor": "ship", "kwargs": {"weight": 1, "to": ["a"], "priority": "critical"}})
    assert (done.status, done.json["queue"]) == (201, "parcels")
    assert broker.inspector.job(done.json["job_id"]).priority == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"queue": "emails"}, "actor"),
        (order(actor=""), "actor"),
        (order(queue="1st"), "queue"),
        (order(queue="x.DQ"), "queue"),
        (order(args={}), "args"),
        (order(kwargs=[]), "kwargs"),
        (order(priority=101), "priority"),
        (order(priority="urgent"), "priority"),
        (order(priority=True), "priority"),
        (order(delay_ms=-1), "delay_ms"),
        (order(delay_ms="5"), "delay_ms"),
        (order(delay_ms=10**15), "delay_ms"),
        (order(run_at="tomorrow"), "run_at"),
        (order(run_at="2026-11-24T07:00:00"), "run_at"),
        (order(run_at=5), "run_at"),
        (order(run_at="2126-11-24T07:00:00Z"), ""),
        (order(run_at="2026-11-24T07:00:00Z", delay_ms=1), ""),
        (order(key="x" * 257), "key"),
        (order(key="a\0b"), "key"),
        (order(debounce=True), ""),
        (order(tags=["x"] * 17), "tags"),
        (order(tags=["x" * 65]), "tags.0"),
        (order(tags=["a\nb"]), ""),
        (order(expires_ms=0), "expires_ms"),
        (order(max_retries=-1), "max_retries"),
        (order(prioritty=1), "prioritty"),
        ([], ""),
    ],
)
def test_a_wrong_field_is_named_and_nothing_enqueued(web: Client, broker: JobyardBroker, body: Any, path: str) -> None:
    paths = wrong(web.post("/api/jobs", body))

    assert {one.partition(".")[0] for one in paths} == {path.partition(".")[0]}
    assert broker.inspector.stats("emails").counts.get("accepted", 0) == 0


def test_what_python_takes_for_json_is_refused(web: Client) -> None:
    def post(raw: bytes) -> Answer:
        return web.ask("POST", "/api/jobs", raw=raw, headers={"Content-Type": "application/json"})

    assert wrong(post(b'{"actor": "welcome", "queue": "emails", "args": [NaN]}')) == ["args"]
    assert wrong(post(b'{"actor": "welcome", "queue": "emails", "kwargs": {"a": -Infinity}}')) == ["kwargs"]
    nested = b'{"actor": "welcome", "queue": "emails", "args": ' + b"[" * 500 + b"]" * 500 + b"}"
    assert wrong(post(nested)) == ["args"]
    assert post(b'{"actor": "welcome", "queue": "emails", "args": ["\\ud800"]}').status == 201


def test_a_job_that_is_too_large_is_a_413(web: Client) -> None:
    assert web.post("/api/jobs", order(args=["x" * LARGEST_BODY])).status == 413


def test_a_job_that_the_broker_takes_for_too_large_is_a_413_and_one_of_many_is_refused(
    serve: Callable[..., Client], broker: JobyardBroker, redis_url: str
) -> None:
    web = serve(redis_url, max_message_size=1000)

    answer = web.post("/api/jobs", order(args=["x" * 1000]))
    assert (answer.status, answer.json["type"]) == (413, "urn:jobyard:problem:job-too-large")
    many = web.post("/api/jobs/bulk", {"jobs": [order(), order(args=["x" * 1000]), order(tags=["a\nb"])]}).json
    assert [one["outcome"] for one in many["results"]] == ["enqueued", "refused", "refused"]
    assert "1,000" in many["results"][1]["detail"]
    assert broker.inspector.stats("emails").waiting == 1


# Many ------------------------------------------------------------------------------------------------------------------


def test_each_of_many_jobs_has_its_own_outcome(web: Client, broker: JobyardBroker) -> None:
    first = web.post("/api/jobs", order(unique="u")).json["job_id"]
    jobs = [order(), order(unique="u"), order(idempotency_key="k"), order(idempotency_key="k")]

    answer = web.post("/api/jobs/bulk", {"jobs": jobs})

    assert (answer.status, answer.json["enqueued"]) == (207, 2)
    results = answer.json["results"]
    assert [one["outcome"] for one in results] == ["enqueued", "duplicate", "enqueued", "known"]
    assert results[1]["job_id"] == first
    assert results[2]["job_id"] == results[3]["job_id"]
    assert broker.inspector.stats("emails").waiting == 3


def test_many_jobs_that_are_all_new_are_a_201(web: Client, broker: JobyardBroker) -> None:
    answer = web.post("/api/jobs/bulk", {"jobs": [order(args=[number]) for number in range(100)]})

    assert (answer.status, answer.json["enqueued"]) == (201, 100)
    jobs = broker.inspector.jobs("emails", "waiting", limit=200)
    assert [job.id for job in jobs] == [one["job_id"] for one in answer.json["results"]]


def test_where_one_of_many_is_wrong_none_is_enqueued(web: Client, broker: JobyardBroker) -> None:
    for bad, path in ((order(priority=-1), "jobs.1.priority"), (order(actor="nobody"), "jobs.1.actor")):
        assert wrong(web.post("/api/jobs/bulk", {"jobs": [order(), bad]})) == [path]
    assert wrong(web.post("/api/jobs/bulk", {"jobs": []})) == ["jobs"]
    assert broker.inspector.stats("emails").counts.get("accepted", 0) == 0


def test_those_of_many_that_exceed_the_rate_say_when_to_come_back(web: Client, broker: JobyardBroker) -> None:
    broker.configure("emails", QueuePolicy(rate=1, rate_period=60_000, rate_burst=2, rate_mode="reject"))

    answer = web.post("/api/jobs/bulk", {"jobs": [order()] * 3})

    assert answer.status == 207
    assert [one["outcome"] for one in answer.json["results"]] == ["enqueued", "enqueued", "rate-limited"]
    assert 0 < answer.json["results"][2]["retry_after"] <= 60
