"""`GET /api/schedules`."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.operator.schedules.calendars import UID, job_schedule

from jobyard.broker import JobyardBroker
from jobyard_operator.core.schedules import Enqueue, Tick, job_id
from jobyard_operator.core.schedules.ticks import at
from jobyard_operator.redis.schedules import apply
from web.conftest import Client


def test_there_is_none(web: Client) -> None:
    assert web.get("/api/schedules").json == {"schedules": []}
    assert web.get("/api/schedules?queue=nowhere").status == 404


def test_what_a_queue_knows_of_a_schedule(web: Client, broker: JobyardBroker) -> None:
    now = at(broker.inspector.stats("reports").now)
    ticks = [Tick(now + timedelta(hours=hour), now + timedelta(hours=hour)) for hour in (-1, 1)]
    apply(broker, "reports", 1, job_schedule(), [Enqueue(tick) for tick in ticks])
    [found] = web.get("/api/schedules?queue=reports").json["schedules"]
    assert (found["name"], found["namespace"], found["uid"], found["queue"]) == ("nightly", "shop", UID, "reports")
    assert (found["schedules"], found["time_zone"]) == (["0 2 * * *"], "Etc/UTC")
    assert [run["state"] for run in found["runs"]] == ["waiting", "planned"]
    assert found["runs"][1]["job_id"] == job_id(UID, ticks[1].nominal)
    assert found["counts"]["recorded"] == 2
