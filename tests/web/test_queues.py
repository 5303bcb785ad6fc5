"""`/api/queues` and `/api/workers`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from dramatiq import Message

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.broker.workers import Announcement, Register
from jobyard_operator.redis.policy import hold
from support.waiting import eventually
from web.conftest import Client


def test_each_queue_has_its_ledger(web: Client, broker: JobyardBroker, bury: Callable[..., list[str]]) -> None:
    bury("reports", "no paper")
    broker.enqueue(Message("emails", "nobody", (), {}, {}, "1"))
    broker.enqueue(Message("emails", "nobody", (), {}, {}, "2"), delay=60_000)
    broker.cancel("2")

    queues = {queue["name"]: queue for queue in web.get("/api/queues").json["queues"]}

    assert list(queues) == ["emails", "reports"]
    emails, reports = queues["emails"], queues["reports"]
    assert (emails["accepted"], emails["waiting"], emails["cancelled"], emails["kept_cancelled"]) == (2, 1, 1, 1)
    assert (reports["accepted"], reports["failed"], reports["lost"]) == (1, 1, 0)
    assert 0 <= emails["oldest_seconds"] < 60
    assert reports["oldest_seconds"] is None


def test_a_queue_that_the_operator_holds_says_why(web: Client, broker: JobyardBroker) -> None:
    broker.enqueue(Message("emails", "nobody", (), {}, {}, "1"))
    assert web.get("/api/queues/emails").json["held"] is None
    hold(broker, "emails", 1, "The image can't be pulled")
    assert web.get("/api/queues/emails").json["held"] == "The image can't be pulled"
    assert web.post("/api/queues/emails/resume").json["held"] == "The image can't be pulled"


def test_a_paused_queue_starts_nothing_until_it_is_resumed(
    web: Client, broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    @jobyard.actor(queue_name="emails", broker=broker)
    def work() -> None: ...

    broker.announce(["emails"])
    assert web.post("/api/queues/emails/pause").json["paused"] is True
    start_worker()
    work.send()
    assert web.get("/api/queues/emails").json["waiting"] == 1

    assert web.post("/api/queues/emails/resume").json["paused"] is False
    eventually(lambda: web.get("/api/queues/emails").json["completed"] == 1)


def test_a_partitions_name_has_a_slash(web: Client, broker: JobyardBroker) -> None:
    broker.announce(["emails/0"])

    assert web.get("/api/queues/emails%2F0").json["name"] == "emails/0"
    assert web.post("/api/queues/emails%2F0/pause").json["paused"] is True


@pytest.mark.parametrize("name", ["nowhere", "a%20b", "..%2F..", "emails.DQ", "x" * 200])
def test_a_queue_that_does_not_exist_can_not_be_paused(web: Client, broker: JobyardBroker, name: str) -> None:
    assert web.post(f"/api/queues/{name}/pause").json["type"] == "urn:jobyard:problem:unknown-queue"
    assert broker.inspector.queues() == []


def announcement(**changed: Any) -> Announcement:
    usual: dict[str, Any] = {
        "name": "host/1", "pod": None, "queues": ["emails"], "actors": ["send_email"], "threads": 8, "running": [],
        "draining": False, "completed": 3, "failed": 1, "started_at": 1_700_000_000_000, "version": "0.1.0",
    }  # fmt: skip
    return Announcement(**{**usual, **changed})


def test_workers_say_who_they_are_and_what_they_run(web: Client, broker: JobyardBroker) -> None:
    registers = [Register(broker, token) for token in ("idle", "active", "draining")]
    registers[0].announce(announcement(name="host/1"))
    registers[1].announce(announcement(name="host/2", running=["job-1", "job-2"], pod="pod-7"))
    registers[2].announce(announcement(name="host/3", running=["job-3"], draining=True))

    answer = web.get("/api/workers").json

    assert (answer["total"], answer["active"], answer["idle"], answer["draining"]) == (3, 1, 1, 1)
    second = answer["workers"][1]
    assert (second["token"], second["state"], second["running"], second["pod"]) == (
        "active", "active", ["job-1", "job-2"], "pod-7",
    )  # fmt: skip
    assert (second["completed"], second["failed"], second["threads"]) == (3, 1, 8)
    assert second["started_at"] == "2023-11-14T22:13:20.000Z"
    assert datetime.fromisoformat(second["seen_at"]).tzinfo is not None
    for register in registers:
        register.close()


def test_without_workers_the_list_is_empty(web: Client) -> None:
    assert web.get("/api/workers").json == {"total": 0, "active": 0, "idle": 0, "draining": 0, "workers": []}


def test_answers_come_at_once(web: Client) -> None:
    """Head and body are two packets: without TCP_NODELAY the second one waits 40 ms for the other side to confirm the first."""
    took = []
    for _ in range(20):
        began = time.perf_counter()
        assert web.get("/healthz").status == 200
        took.append(time.perf_counter() - began)

    assert min(took) < 0.025


def test_many_clients_at_once_are_served(web: Client, broker: JobyardBroker) -> None:
    broker.enqueue(Message("emails", "nobody", (), {}, {}, "1"))
    failures: list[Any] = []

    def ask() -> None:
        client = Client(web.url)
        for _ in range(20):
            answer = client.get("/api/jobs/1")
            if answer.status != 200:
                failures.append(answer)
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
