"""Schedules over days, in memory, with all that happens to them: the operator is away, restarted, replaced; the resource is
edited and suspended; a status gets lost; jobs fail and are retried. Each tick is one job at most, and there is none too many."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import dramatiq
import pytest
from tests.unit.operator.schedules.calendars import UID, job_schedule

import jobyard
from jobyard.testing import MemoryBroker
from jobyard_operator.core.schedules import Calendar, new_status, plan, ticks
from jobyard_operator.core.schedules.planning import HORIZON
from jobyard_operator.redis.epoch import Superseded
from jobyard_operator.redis.schedules import apply, forget, observe
from jobyard_operator.resources import JobSchedule

START = datetime(2026, 10, 24, 12, tzinfo=UTC)


@pytest.fixture
def memory() -> Any:
    """A broker on the day before the clocks change in Berlin, with an actor that notes for which tick it runs."""
    broker = MemoryBroker(now=START)
    before = dramatiq.broker.global_broker
    dramatiq.set_broker(broker)
    yield broker
    dramatiq.broker.global_broker = before


def act(broker: MemoryBroker, schedule: JobSchedule, epoch: int = 1) -> JobSchedule:
    """One round of a controller; the schedule with its new status."""
    seen = observe(broker, "q", UID)
    made = plan(schedule, seen)
    apply(broker, "q", epoch, schedule, made.effects)
    return schedule.model_copy(update={"status": new_status(schedule, observe(broker, "q", UID), made, queue="q")})


def created_now(broker: MemoryBroker, **spec: Any) -> JobSchedule:
    schedule = job_schedule(**{"template": {"actor": "note"}, **spec})
    now = broker.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return schedule.model_copy(update={"metadata": schedule.metadata.model_copy(update={"creation_timestamp": now})})


def test_a_night_in_which_the_clocks_change(memory: MemoryBroker) -> None:
    ran: list[tuple[str, str]] = []

    @jobyard.actor(queue_name="q", actor_name="note")
    def note() -> None:
        job = jobyard.current_job()
        assert job is not None
        ran.append((job.options["scheduled_for"], f"{memory.now:%d %H:%M}"))

    schedule = created_now(memory, schedules=["30 2 * * *"], timeZone="Europe/Berlin")
    for _ in range(3 * 24 * 12):
        schedule = act(memory, schedule)
        memory.advance(300)
    assert ran == [
        ("2026-10-25T00:30:00Z", "25 00:30"),
        ("2026-10-26T01:30:00Z", "26 01:30"),
        ("2026-10-27T01:30:00Z", "27 01:30"),
    ]
    assert schedule.status.counters.succeeded == 3


def test_while_the_operator_is_away_what_is_planned_fires_and_the_last_one_is_caught_up(memory: MemoryBroker) -> None:
    ran: list[str] = []

    @jobyard.actor(queue_name="q", actor_name="note")
    def note() -> None:
        ran.append(f"{memory.now:%H:%M}")

    schedule = act(memory, created_now(memory, schedules=["*/5 * * * *"]))
    memory.advance(3600)
    assert ran == ["12:05", "12:10"]
    schedule = act(memory, schedule)
    memory.run()
    assert ran == ["12:05", "12:10", "13:00"]
    assert schedule.status.counters.missed == 9
    assert schedule.status.last_missed_time == "2026-10-24T12:55:00Z"


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_each_tick_is_one_job_at_most(memory: MemoryBroker, seed: int) -> None:
    chance = random.Random(seed)
    fired: Counter[str] = Counter()

    @jobyard.actor(queue_name="q", actor_name="note", retry=jobyard.RetryPolicy(attempts=2, initial=30))
    def note() -> None:
        job = jobyard.current_job()
        assert job is not None
        if not job.retries:
            fired[job.options["scheduled_for"]] += 1
        if chance.random() < 0.2:
            raise RuntimeError("on purpose")

    def spec() -> dict[str, Any]:
        return {
            "schedules": [chance.choice(["* * * * *", "*/7 * * * *", "30 * * * * *", "@every 90s", "13,44 2 * * *"])],
            "timeZone": chance.choice(["Europe/Berlin", "America/New_York", "Etc/UTC"]),
            "jitterSeconds": chance.choice([0, 0, 45, 600]),
            "overlapPolicy": chance.choice(["Allow", "Skip", "BufferOne", "Replace"]),
            "catchUp": {
                "policy": chance.choice(["None", "Latest", "All"]),
                "windowSeconds": chance.choice([300, 7200]),
            },
        }

    generation, epoch = 1, 1
    given = spec()
    schedule = created_now(memory, **given)
    allowed: set[datetime] = set()
    since = memory.now
    for _ in range(120):
        match chance.choice(["act"] * 6 + ["pass"] * 5 + ["edit", "suspend", "lose status", "stale", "restart"]):
            case "act":
                schedule = act(memory, schedule, epoch)
            case "pass":
                memory.advance(chance.choice([1, 20, 90, 400, 2000]), fail_fast=False)
            case "restart":
                epoch += 1
            case "stale" if epoch > 1:
                forget(memory, "q", epoch, "another")  # So that the queue has seen the epoch.
                with pytest.raises(Superseded):
                    forget(memory, "q", epoch - 1, UID)
            case "lose status":
                lost = job_schedule(generation=generation, **given, template={"actor": "note"})
                schedule = schedule.model_copy(update={"status": lost.status})
            case "edit" | "suspend" as what:
                calendar = Calendar.of(schedule.spec, UID)
                allowed |= {tick.nominal for tick in ticks(calendar, since, memory.now + HORIZON)}
                since = memory.now - timedelta(hours=3)
                generation += 1
                given = spec() if what == "edit" else {**given, "suspend": not given.get("suspend", False)}
                edited = job_schedule(generation=generation, **given, template={"actor": "note"})
                schedule = schedule.model_copy(
                    update={
                        "spec": edited.spec,
                        "metadata": schedule.metadata.model_copy(update={"generation": generation}),
                    }
                )
                if what == "suspend" and edited.spec.suspend:
                    schedule = act(memory, schedule, epoch)
                    assert not [run for run in observe(memory, "q", UID).runs if run.state == "Planned"]
    calendar = Calendar.of(schedule.spec, UID)
    allowed |= {tick.nominal for tick in ticks(calendar, since, memory.now + HORIZON)}
    assert not {when for when, count in fired.items() if count > 1}
    assert {datetime.fromisoformat(when) for when in fired} <= allowed
    stats = memory.inspector.stats("q")
    assert (stats.lost, stats.orphaned) == (0, 0)
