"""`POST /api/jobs/actions`, failure groups, editing: what is done to many jobs, and to dead letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from dramatiq import Message

import jobyard
from jobyard.broker import JobyardBroker
from web.conftest import Answer, Client

ACTIONS = "/api/jobs/actions"


def send(broker: JobyardBroker, job_id: str, queue: str = "emails", **kwargs: Any) -> None:
    broker.enqueue(Message(queue, "nobody", (), kwargs, {}, job_id))


def wrong(answer: Answer) -> list[str]:
    assert answer.status == 422, answer.body
    return [error["path"] for error in answer.json["errors"]]


def test_jobs_that_fit_are_cancelled_and_a_dry_run_only_counts(web: Client, broker: JobyardBroker) -> None:
    for number in range(5):
        send(broker, f"a{number}", tenant="acme")
    send(broker, "b", tenant="other")
    body = {"action": "cancel", "filter": {"argument": {"tenant": "acme"}}}

    dry = web.post(ACTIONS, {**body, "dry_run": True})
    assert (dry.status, dry.json) == (
        200,
        {
            "dry_run": True, "matched": 5, "changed": 0, "more": False, "by_queue": {"emails": 5},
            "sample": [f"a{number}" for number in range(5)],
        },
    )  # fmt: skip
    assert broker.inspector.stats("emails").waiting == 6

    some = web.post(ACTIONS, {**body, "limit": 2}).json
    assert (some["changed"], some["more"]) == (2, True)
    assert web.post(ACTIONS, body).json["changed"] == 3
    assert [job["job_id"] for job in web.get("/api/jobs?state=waiting").json["jobs"]] == ["b"]


def test_dead_letters_are_retried_and_discarded_by_filter(
    web: Client, broker: JobyardBroker, bury: Callable[..., list[str]]
) -> None:
    bury("reports", "no paper", 3)
    bury("emails", "no stamp", 2)

    retried = web.post(ACTIONS, {"action": "retry", "filter": {"error": "no paper"}, "rate": 0.01}).json
    assert (retried["changed"], retried["by_queue"]) == (3, {"reports": 3})
    assert broker.inspector.stats("reports").dead == 0
    assert web.post(ACTIONS, {"action": "discard", "filter": {"states": ["failed"]}}).json["changed"] == 2
    assert broker.inspector.stats("emails").dead == 0


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"action": "cancel"}, [""]),
        ({"action": "cancel", "filter": {}}, [""]),
        ({"action": "explode", "all": True}, ["action"]),
        ({"action": "cancel", "all": True, "rate": 1}, [""]),
        ({"action": "cancel", "filter": {"states": ["completed"]}}, ["filter.states"]),
        ({"action": "cancel", "filter": {"states": ["asleep"]}}, ["filter.states.0"]),
        ({"action": "cancel", "filter": {"tenant": "acme"}}, ["filter.tenant"]),
        ({"action": "cancel", "filter": {"actor": ""}}, ["filter.actor"]),
        ({"action": "cancel", "filter": {"created_after": "yesterday"}}, ["filter.created_after"]),
        ({"action": "cancel", "all": True, "limit": 0}, ["limit"]),
    ],
)
def test_an_action_that_does_not_say_which_changes_nothing(
    web: Client, broker: JobyardBroker, body: Any, paths: list[str]
) -> None:
    send(broker, "1")

    assert wrong(web.post(ACTIONS, body)) == paths
    assert broker.inspector.stats("emails").waiting == 1


def test_an_action_on_a_queue_that_is_not_there(web: Client) -> None:
    answer = web.post(ACTIONS, {"action": "cancel", "filter": {"queue": "nowhere"}})

    assert answer.json["type"] == "urn:jobyard:problem:unknown-queue"


# Failure groups --------------------------------------------------------------------------------------------------------


def test_failures_that_are_the_same_are_counted_together(
    web: Client, broker: JobyardBroker, bury: Callable[..., list[str]]
) -> None:
    bury("reports", "no paper in tray 17", 3)
    bury("emails", "no stamp", 1)

    groups = {one["queue"]: one for one in web.get("/api/failures").json["groups"]}
    assert {name: one["dead"] for name, one in groups.items()} == {"reports": 3, "emails": 1}
    paper = groups["reports"]
    assert paper["error"] == "PermanentError"
    assert "17" not in paper["template"]
    assert paper["last_seen"].endswith("Z")
    assert [one["queue"] for one in web.get("/api/failures?queue=emails").json["groups"]] == ["emails"]
    listed = web.get(f"/api/jobs?group={paper['group']}&queue=reports").json["jobs"]
    assert len(listed) == 3

    address = f"/api/failures/{'reports'}/{paper['group']}"
    assert web.post(f"{address}/retry", {"dry_run": True}).json["matched"] == 3
    assert web.post(f"{address}/retry", {"limit": 1, "rate": 0.01}).json["changed"] == 1
    assert web.ask("POST", f"{address}/discard").json["changed"] == 2
    assert broker.inspector.stats("reports").dead == 0
    assert broker.inspector.stats("emails").dead == 1
    assert web.ask("POST", "/api/failures/nowhere/x/retry").status == 404


# One dead letter -------------------------------------------------------------------------------------------------------


def test_a_dead_letter_is_corrected_and_tried_again(
    web: Client, broker: JobyardBroker, bury: Callable[..., list[str]]
) -> None:
    (job_id,) = bury("reports", "no paper")

    answer = web.ask("PUT", f"/api/dead-letters/{job_id}", body={"args": [7], "kwargs": {"tray": 2}})

    assert answer.status == 200
    assert (answer.json["status"], answer.json["args"], answer.json["kwargs"]) == ("waiting", [7], {"tray": 2})
    again = web.ask("PUT", f"/api/dead-letters/{job_id}", body={"args": []})
    assert (again.status, again.json["job_status"]) == (409, "waiting")


def test_what_is_not_given_of_a_dead_letter_stays(web: Client, bury: Callable[..., list[str]]) -> None:
    (job_id,) = bury("reports", "no paper")

    answer = web.ask("PUT", f"/api/dead-letters/{job_id}?queue=reports", body={"kwargs": {"tray": 2}})

    assert (answer.json["args"], answer.json["kwargs"]) == ([0], {"tray": 2})


@pytest.mark.parametrize(("body", "path"), [({}, ""), ({"args": {}}, "args"), ({"arguments": []}, "arguments")])
def test_a_correction_that_says_nothing_is_refused(
    web: Client, bury: Callable[..., list[str]], body: Any, path: str
) -> None:
    (job_id,) = bury("reports", "no paper")

    assert wrong(web.ask("PUT", f"/api/dead-letters/{job_id}", body=body)) == [path]
    assert web.get(f"/api/jobs/{job_id}").json["status"] == "failed"


def test_an_unknown_dead_letter_can_not_be_corrected(web: Client) -> None:
    assert web.ask("PUT", "/api/dead-letters/x", body={"args": []}).status == 404


# Explain, logs, batches ------------------------------------------------------------------------------------------------


def test_a_job_is_explained(web: Client, broker: JobyardBroker) -> None:
    send(broker, "a/b")

    answer = web.get("/api/jobs/a%2Fb/explain")

    assert answer.status == 200
    assert (answer.json["job_id"], answer.json["status"], answer.json["reason"]) == ("a/b", "waiting", "NoWorker")
    assert answer.json["sentence"]
    assert answer.json["advice"]
    unknown = web.get("/api/jobs/nobody/explain")
    assert (unknown.status, unknown.json["type"]) == (404, "urn:jobyard:problem:unknown-job")


def test_what_a_job_has_logged_is_shown(web: Client, broker: JobyardBroker, start_worker: Callable[..., Any]) -> None:
    from support.waiting import eventually

    @jobyard.actor(broker=broker)
    def talks() -> None:
        jobyard.log("to the printer")

    job_id = talks.send().message_id
    start_worker()
    eventually(lambda: web.get(f"/api/jobs/{job_id}").json["status"] == "completed")

    logs = web.get(f"/api/jobs/{job_id}/logs").json

    assert [(line["message"], line["attempt"]) for line in logs["lines"]] == [("to the printer", 1)]
    assert logs["lines"][0]["at"].endswith("Z")
    assert logs["dropped"] == 0
    assert web.get("/api/jobs/nobody/logs").status == 404


def test_a_batch_says_how_far_it_is(web: Client, broker: JobyardBroker) -> None:
    @jobyard.actor(queue_name="emails", broker=broker)
    def one() -> None: ...

    batch = jobyard.Batch([one.message(), one.message()], description="newsletter", broker=broker)
    batch.enqueue()

    answer = web.get(f"/api/batches/{quote(batch.id, safe='')}")

    assert answer.status == 200
    assert (answer.json["total"], answer.json["pending"], answer.json["description"]) == (2, 2, "newsletter")
    assert answer.json["ended_at"] is None
    for unknown in ("emails:nobody", "nonsense", "no queue:x"):
        assert web.get(f"/api/batches/{quote(unknown)}").json["type"] == "urn:jobyard:problem:unknown-batch"


# Policies --------------------------------------------------------------------------------------------------------------


def test_a_policy_is_shown_and_changed_in_parts(web: Client, broker: JobyardBroker) -> None:
    send(broker, "1", "emails/0")
    address = "/api/queues/emails%2F0/policy"
    assert set(web.get(address).json["policy"].values()) == {None}

    changed = web.ask("PATCH", address, body={"concurrency": 5, "rate": 10, "weights": {"gold": 3}})
    assert changed.status == 200
    assert (changed.json["policy"]["concurrency"], changed.json["policy"]["weights"]) == (5, {"gold": 3.0})
    again = web.ask("PATCH", address, body={"concurrency": None, "fair": True}).json["policy"]
    assert (again["concurrency"], again["rate"], again["fair"]) == (None, 10.0, True)
    assert web.get(address).json["policy"] == again


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": "5"}, "concurrency"),
        ({"speed": 1}, "speed"),
        ({"ageing": 5}, ""),
    ],
)
def test_a_policy_that_can_not_hold_changes_nothing(web: Client, broker: JobyardBroker, body: Any, path: str) -> None:
    send(broker, "1")
    web.ask("PATCH", "/api/queues/emails/policy", body={"fair": True})
    before = web.get("/api/queues/emails/policy").json

    assert wrong(web.ask("PATCH", "/api/queues/emails/policy", body=body)) == [path]
    assert web.get("/api/queues/emails/policy").json == before


def test_a_queue_that_is_not_there_has_no_policy(web: Client) -> None:
    assert web.get("/api/queues/nowhere/policy").status == 404
    assert web.ask("PATCH", "/api/queues/nowhere/policy", body={"rate": 1}).status == 404


def test_breakers_are_shown(web: Client, broker: JobyardBroker) -> None:
    send(broker, "1")
    assert web.get("/api/queues/emails/breakers").json == {"queue": "emails", "breakers": []}
    broker.breakers.open("emails", "smtp", 60_000)

    (breaker,) = web.get("/api/queues/emails/breakers").json["breakers"]

    assert (breaker["dependency"], breaker["state"], breaker["held"]) == ("smtp", "open", 0)
    assert breaker["probe_at"].endswith("Z")
    assert web.get("/api/queues/nowhere/breakers").status == 404
