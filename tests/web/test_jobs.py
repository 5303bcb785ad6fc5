"""`/api/jobs`: numbers, lists, one job, retry and cancel."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from dramatiq import Message

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.broker.dispatcher import Dispatcher
from support.waiting import eventually
from web.conftest import Client


def send(broker: JobyardBroker, queue: str, job_id: str, *args: Any, delay: int | None = None, **kwargs: Any) -> str:
    """Enqueue a job of an actor that nobody has."""
    broker.enqueue(Message(queue, "nobody", args, kwargs, {}, job_id), delay=delay)
    return job_id


def when(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def test_stats_are_these_five_numbers_over_all_queues(
    web: Client, broker: JobyardBroker, bury: Callable[..., list[str]], start_worker: Callable[..., Any]
) -> None:
    @jobyard.actor(queue_name="works", broker=broker)
    def work() -> None: ...

    bury("reports", "no paper", 2)
    ids = [work.send().message_id for _ in range(3)]
    start_worker(queues={"works"})
    eventually(lambda: all(broker.inspector.job(one).state == "completed" for one in ids))
    send(broker, "emails", "1")
    send(broker, "images", "2")
    send(broker, "images", "3", delay=60_000)

    answer = web.get("/api/jobs/stats")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == {"waiting": 2, "active": 0, "completed": 3, "failed": 2, "delayed": 1}


def test_a_waiting_job_says_what_it_is(web: Client, broker: JobyardBroker) -> None:
    send(broker, "emails", "first")
    before = datetime.now(UTC) - timedelta(seconds=1)
    send(broker, "emails", "an-id", "ada@example.org", subject="Grüße")

    job = web.get("/api/jobs/an-id").json

    assert before < when(job.pop("created_at")) < datetime.now(UTC) + timedelta(seconds=1)
    assert job == {
        "job_id": "an-id", "status": "waiting", "progress": 0.0, "result": None, "attempts": 0, "completed_at": None,
        "queue": "emails", "actor": "nobody", "args": ["ada@example.org"], "kwargs": {"subject": "Grüße"}, "options": {},
        "priority": 5, "started_at": None, "due_at": None, "ended_at": None, "position": 1, "worker": None,
        "cancelling": False, "progress_message": "", "progress_counts": {}, "result_note": None, "errors": [],
    }  # fmt: skip


def test_a_delayed_job_says_when_it_is_due(web: Client, broker: JobyardBroker) -> None:
    send(broker, "emails", "later", delay=3_600_000)

    job = web.get("/api/jobs/later").json

    assert job["status"] == "delayed"
    assert abs(when(job["due_at"]) - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)


def test_a_running_job_says_how_far_it_is_and_a_completed_one_what_came_of_it(
    web: Client, broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    go_on = threading.Event()

    @jobyard.actor(broker=broker)
    def count() -> dict[str, Any]:
        jobyard.report_progress(40, "counting", rows=1200)
        go_on.wait(10)
        return {"rows": 3000, "big": 2**60 + 1}

    job_id = count.send().message_id
    worker = start_worker()
    eventually(lambda: web.get(f"/api/jobs/{job_id}").json["progress"] == 40)

    running = web.get(f"/api/jobs/{job_id}").json
    assert (running["status"], running["attempts"], running["worker"]) == ("active", 1, worker.token)
    assert (running["progress_message"], running["progress_counts"]) == ("counting", {"rows": 1200})
    assert running["completed_at"] is None

    go_on.set()
    eventually(lambda: web.get(f"/api/jobs/{job_id}").json["status"] == "completed")
    done = web.get(f"/api/jobs/{job_id}").json
    assert (done["progress"], done["result"]) == (100.0, {"rows": 3000, "big": 2**60 + 1})
    assert when(done["created_at"]) <= when(done["started_at"]) <= when(done["completed_at"])


def test_a_dead_letter_tells_the_error_of_each_attempt(
    web: Client, broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    @jobyard.actor(broker=broker, retry=jobyard.RetryPolicy(attempts=2, initial=0))
    def fail() -> None:
        raise RuntimeError("the printer is on fire")

    job_id = fail.send().message_id
    start_worker()
    eventually(lambda: web.get(f"/api/jobs/{job_id}").json["status"] == "failed")

    job = web.get(f"/api/jobs/{job_id}").json

    assert [error["attempt"] for error in job["errors"]] == [1, 2]
    assert {error["error"] for error in job["errors"]} == {"RuntimeError"}
    assert {error["message"] for error in job["errors"]} == {"the printer is on fire"}
    assert "raise RuntimeError" in job["errors"][0]["traceback"]
    assert when(job["errors"][1]["ended_at"]) <= when(job["ended_at"])
    assert job["completed_at"] is None


def test_a_lost_worker_is_told_with_its_image_and_node(web: Client, broker: JobyardBroker) -> None:
    job_id = send(broker, "q", "lost")
    worker = Dispatcher(broker, ["q"], 1)
    assert worker.fetch().deliveries
    worker.close()
    cause = b'{"error":"NodeLost","worker":"mail-1","image":"shop:1.4","node":"node-1"}'
    assert broker.revoke(worker.token, cause) == (1, 0)
    (error,) = web.get(f"/api/jobs/{job_id}").json["errors"]
    assert (error["error"], error["worker"]) == ("NodeLost", "mail-1")
    assert (error["image"], error["node"]) == ("shop:1.4", "node-1")


def test_an_unknown_job_is_a_404_that_names_it(web: Client) -> None:
    answer = web.get("/api/jobs/no-such-id")

    assert answer.status == 404
    assert answer.json["type"] == "urn:jobyard:problem:unknown-job"
    assert "no-such-id" in answer.json["detail"]


@pytest.mark.parametrize("job_id", ["a/b", "ä ö?#%", "stats2", "a/retry", "x" * 256, '<b>"&'])
def test_ids_may_contain_anything(web: Client, broker: JobyardBroker, job_id: str) -> None:
    send(broker, "emails", job_id)
    path = f"/api/jobs/{quote(job_id, safe='')}"

    assert web.get(path).json["job_id"] == job_id
    assert web.ask("POST", path + "/retry").json["job_status"] == "waiting"
    assert web.delete(path).json["status"] == "cancelled"


def test_two_queues_may_know_the_same_id(web: Client, broker: JobyardBroker) -> None:
    for queue in ("emails", "images"):
        send(broker, queue, "twin")

    assert web.get("/api/jobs/twin?queue=images").json["queue"] == "images"
    assert web.ask("DELETE", "/api/jobs/twin?queue=images").status == 200
    assert web.get("/api/jobs/twin?queue=emails").json["status"] == "waiting"
    assert web.get("/api/jobs/twin?queue=reports").json["type"] == "urn:jobyard:problem:unknown-queue"


def test_arguments_that_json_can_hardly_carry_arrive_as_near_as_possible(web: Client, broker: JobyardBroker) -> None:
    deep: Any = "bottom"
    for _ in range(300):
        deep = [deep]
    send(broker, "emails", "odd", float("nan"), 2**70, "\ud800x", deep)

    nan, huge, surrogate, nested = web.get("/api/jobs/odd").json["args"]

    assert (nan, huge, surrogate) == ("nan", 2**70, "?x")
    assert json.dumps(nested).count("[") < 100
    assert web.get("/api/jobs?queue=emails").json["jobs"][0]["arguments"].startswith('"nan", 1180591620717411303424')


def test_a_job_that_can_not_be_read_is_shown_and_can_be_cancelled(web: Client, broker: JobyardBroker) -> None:
    send(broker, "emails", "damaged")
    broker.server.client().hset(broker.keys("emails")["jobs"], "damaged", b"{nonsense")

    assert web.get("/api/jobs/damaged").json["actor"] == "(unreadable)"
    assert web.get("/api/jobs?queue=emails").json["jobs"][0]["job_id"] == "damaged"
    assert web.delete("/api/jobs/damaged").json["status"] == "cancelled"


# Retry and cancel --------------------------------------------------------------------------------------------------


def test_a_dead_letter_that_is_retried_waits_again(web: Client, bury: Callable[..., list[str]]) -> None:
    (job_id,) = bury("reports", "no paper")

    answer = web.ask("POST", f"/api/jobs/{job_id}/retry")

    assert (answer.status, answer.json["status"]) == (200, "waiting")
    assert len(answer.json["errors"]) == 1
    assert web.get("/api/jobs/stats").json["failed"] == 0


def test_what_is_no_dead_letter_can_not_be_retried(web: Client, broker: JobyardBroker) -> None:
    send(broker, "emails", "waits")

    answer = web.ask("POST", "/api/jobs/waits/retry")

    assert answer.status == 409
    assert answer.json["job_status"] == "waiting"
    assert answer.json["detail"] == "The job is waiting and can't be retried. Only dead letters are."
    assert web.ask("POST", "/api/jobs/unknown/retry").status == 404


@pytest.mark.parametrize("delay", [None, 60_000])
def test_a_job_that_waits_is_cancelled_at_once(web: Client, broker: JobyardBroker, delay: int | None) -> None:
    send(broker, "emails", "unwanted", delay=delay)

    answer = web.delete("/api/jobs/unwanted")

    assert (answer.status, answer.json["status"]) == (200, "cancelled")
    assert web.get("/api/jobs/unwanted").json["ended_at"] is not None


def test_a_running_job_is_asked_to_stop_and_a_second_cancel_is_refused(
    web: Client, broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    @jobyard.actor(broker=broker)
    def wait_long() -> None:
        for _ in range(2000):
            threading.Event().wait(0.01)

    job_id = wait_long.send().message_id
    start_worker()
    eventually(lambda: web.get(f"/api/jobs/{job_id}").json["status"] == "active")

    answer = web.delete(f"/api/jobs/{job_id}")
    assert (answer.status, answer.json["status"], answer.json["cancelling"]) == (202, "active", True)

    eventually(lambda: web.get(f"/api/jobs/{job_id}").json["status"] == "cancelled")
    again = web.delete(f"/api/jobs/{job_id}")
    assert (again.status, again.json["job_status"]) == (409, "cancelled")


def test_a_dead_letter_has_ended_and_can_not_be_cancelled(web: Client, bury: Callable[..., list[str]]) -> None:
    (job_id,) = bury("reports", "no paper")

    assert web.delete(f"/api/jobs/{job_id}").json["job_status"] == "failed"
    assert web.delete("/api/jobs/unknown").status == 404


# Lists -------------------------------------------------------------------------------------------------------------


def pages(web: Client, query: str) -> list[list[str]]:
    """The ids on each page."""
    found, cursor = [], ""
    while True:
        answer = web.get(f"/api/jobs?{query}{cursor}")
        assert answer.status == 200, answer.json
        found.append([job["job_id"] for job in answer.json["jobs"]])
        if answer.json["next_cursor"] is None:
            return found
        cursor = f"&cursor={answer.json['next_cursor']}"


def test_a_list_comes_in_pages_without_gaps_or_repetitions(web: Client, broker: JobyardBroker) -> None:
    ids = [send(broker, "emails", f"job-{number:02}") for number in range(7)]

    assert pages(web, "queue=emails&state=waiting&limit=3") == [ids[:3], ids[3:6], ids[6:]]
    assert pages(web, "queue=emails&state=waiting&limit=7") == [ids]


def test_a_list_may_go_over_all_queues_and_states(web: Client, broker: JobyardBroker) -> None:
    for number in range(3):
        send(broker, "emails", f"e{number}")
        send(broker, "images", f"i{number}")
        send(broker, "images", f"d{number}", delay=60_000 + number)

    assert pages(web, "limit=2") == [["e0", "e1"], ["e2", "i0"], ["i1", "i2"], ["d0", "d1"], ["d2"]]
    assert pages(web, "state=delayed") == [["d0", "d1", "d2"]]
    assert pages(web, "queue=emails") == [["e0", "e1", "e2"]]


def test_a_list_has_summaries_and_not_whole_arguments(web: Client, broker: JobyardBroker) -> None:
    send(broker, "emails", "1", "x" * 100_000, list(range(1000)), body="y" * 100_000)

    answer = web.get("/api/jobs?queue=emails")

    assert len(answer.body) < 2000
    assert answer.json["jobs"][0]["arguments"].startswith('"xxx')


def test_dead_letters_are_listed_under_both_words(web: Client, bury: Callable[..., list[str]]) -> None:
    ids = bury("reports", "no paper", 2)

    failed = web.get("/api/jobs?state=failed").json
    assert {job["job_id"] for job in failed["jobs"]} == set(ids)
    assert failed["jobs"][0]["error"] == "PermanentError: no paper"
    assert web.get("/api/jobs?state=dead").json == failed


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("state=asleep", "state"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("cursor=%00", "cursor"),
        ("cursor=WyJlbWFpbHMiLCAid2FpdGluZyIsIC0xXQ", "cursor"),
        ("sort=up", "sort"),
    ],
)
def test_a_wrong_parameter_is_named(web: Client, broker: JobyardBroker, query: str, path: str) -> None:
    send(broker, "emails", "1")

    answer = web.get(f"/api/jobs?{query}")

    assert answer.status == 422
    assert [error["path"] for error in answer.json["errors"]] == [path]


def test_a_queue_that_does_not_exist_is_said(web: Client) -> None:
    assert web.get("/api/jobs?queue=nowhere").json["type"] == "urn:jobyard:problem:unknown-queue"
