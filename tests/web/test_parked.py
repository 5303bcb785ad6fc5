"""A job that waits for another one of its key, as the API shows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import dramatiq

from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from support.waiting import eventually


def test_a_parked_job_is_shown_as_such_counts_among_the_waiting_ones_and_can_be_cancelled(
    web: Any, broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    release = threading.Event()

    @dramatiq.actor(key="tenant")
    def work(tenant: str) -> None:
        release.wait(20)

    broker.configure("default", QueuePolicy(key_concurrency=1))
    work.send("acme")
    second = work.send("acme").message_id
    start_worker(threads=2)
    eventually(lambda: broker.inspector.stats("default").parked == 1)

    assert web.get(f"/api/jobs/{second}").json["status"] == "parked"
    assert [job["job_id"] for job in web.get("/api/jobs?queue=default&state=parked").json["jobs"]] == [second]
    assert web.get("/api/jobs/stats").json == {"waiting": 1, "active": 1, "completed": 0, "failed": 0, "delayed": 0}
    (queue,) = web.get("/api/queues").json["queues"]
    assert (queue["parked"], queue["waiting"]) == (1, 0)
    assert web.delete(f"/api/jobs/{second}").json["status"] == "cancelled"
    release.set()
    broker.join("default", timeout=10_000)
