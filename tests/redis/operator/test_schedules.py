"""Ticks in Redis: recorded together with their job, once; taken back; kept from overlapping."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.operator.schedules.calendars import UID, job_schedule

import jobyard
from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import Delivery
from jobyard_operator.core.schedules import (
    Enqueue,
    ScheduleError,
    Seen,
    TakeBack,
    Tick,
    job_id,
    new_status,
    plan,
    taken_back,
)
from jobyard_operator.core.schedules.ticks import at
from jobyard_operator.redis.epoch import Superseded
from jobyard_operator.redis.schedules import apply, forget, observe, run_now
from jobyard_operator.resources import JobSchedule
from support.hand import Hand, look_up
from support.snapshot import snapshot
from support.waiting import eventually

MakeHand = Callable[..., Hand]
EVERY_MINUTE: dict[str, Any] = {"schedules": ["* * * * *"]}


def now(broker: JobyardBroker) -> datetime:
    """The server's time."""
    return at(broker.inspector.stats("q").now)


def put(broker: JobyardBroker, schedule: JobSchedule, *seconds: float) -> list[str]:
    """Record ticks that are due in so many seconds. Returns the ids of their jobs."""
    start = now(broker)
    ticks = [Tick(start + timedelta(seconds=second), start + timedelta(seconds=second)) for second in seconds]
    assert apply(broker, "q", 1, schedule, [Enqueue(tick) for tick in ticks]) == (len(ticks), 0)
    # Late ones that must not overlap are due a few milliseconds later, in this order.
    eventually(lambda: now(broker) > start + timedelta(milliseconds=50))
    return [job_id(UID, tick.nominal) for tick in ticks]


def states(broker: JobyardBroker) -> list[str]:
    return [run.state for run in observe(broker, "q", UID).runs]


def fetched(hand: Hand) -> Delivery:
    """The next job, as soon as it is due."""
    found: list[Delivery] = []
    eventually(lambda: found or found.extend(hand.fetch(1)) or found)
    return found[0]


def test_ticks_lie_in_redis_ahead_of_time(broker: JobyardBroker, hand: MakeHand) -> None:
    schedule = job_schedule(**EVERY_MINUTE)
    seen = observe(broker, "q", UID)
    made = plan(schedule.model_copy(update={"status": new_status(schedule, seen, plan(schedule, seen))}), seen)
    ahead = [effect for effect in made.effects if isinstance(effect, Enqueue) and not effect.late]
    assert apply(broker, "q", 1, schedule, ahead) == (len(ahead), 0)
    assert len(ahead) >= 9
    known = observe(broker, "q", UID)
    assert [run.nominal for run in known.runs] == [effect.tick.nominal for effect in ahead]
    assert states(broker) == ["Planned"] * len(ahead)
    assert (known.fired, known.newest) == (0, None)
    job = look_up(broker, known.runs[0].job_id, queue="q")
    assert (job.state, job.actor, job.args) == ("delayed", "generate_report", ("sales",))
    assert job.due_at == round(known.runs[0].due.timestamp() * 1000)
    assert job.options["schedule"] == "shop/nightly"
    assert job.options["scheduled_for"] == known.runs[0].nominal.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_tick_fires_on_time_with_nobody_there(broker: JobyardBroker, hand: MakeHand) -> None:
    [made] = put(broker, job_schedule(), 0.3)
    worker = hand()
    assert worker.ids() == []
    job = fetched(worker)
    assert job.message_id == made
    assert states(broker) == ["Running"]
    worker.done(job)
    seen = observe(broker, "q", UID)
    assert (seen.runs[0].state, seen.fired, seen.succeeded) == ("Succeeded", 1, 1)
    assert seen.newest == seen.runs[0].nominal
    assert seen.runs[0].ended is not None


def test_the_same_tick_is_one_job(broker: JobyardBroker) -> None:
    schedule = job_schedule()
    tick = Tick(now(broker), now(broker) + timedelta(minutes=1))
    assert apply(broker, "q", 1, schedule, [Enqueue(tick)]) == (1, 0)
    before = snapshot(broker)
    assert apply(broker, "q", 1, schedule, [Enqueue(tick), Enqueue(tick, late=True)]) == (0, 0)
    assert snapshot(broker) == before
    assert broker.inspector.stats("q").delayed == 1


def test_an_edit_replaces_what_is_planned(broker: JobyardBroker) -> None:
    first = job_schedule()
    put(broker, first, 60, 120)
    known = observe(broker, "q", UID)
    edited = job_schedule(template={"actor": "generate_report", "args": ["stock"]})
    effects = [TakeBack(run) for run in known.runs] + [Enqueue(Tick(known.runs[0].nominal, known.runs[0].due))]
    assert apply(broker, "q", 1, edited, effects) == (1, 2)
    after = snapshot(broker)
    [run] = observe(broker, "q", UID).runs
    assert look_up(broker, run.job_id, queue="q").args == ("stock",)
    # Sent again, it takes nothing back of what it has put in.
    assert apply(broker, "q", 1, edited, effects) == (0, 0)
    assert snapshot(broker) == after


def test_suspending_takes_back_what_is_not_due(broker: JobyardBroker) -> None:
    schedule = job_schedule()
    due, _ = put(broker, schedule, -1, 60)
    suspended = job_schedule(suspend=True)
    made = plan(suspended, observe(broker, "q", UID))
    assert apply(broker, "q", 1, suspended, made.effects) == (0, 1)
    assert [run.job_id for run in observe(broker, "q", UID).runs] == [due]
    assert look_up(broker, due, queue="q").state == "waiting"


def test_what_has_become_due_meanwhile_is_not_taken_back(broker: JobyardBroker, hand: MakeHand) -> None:
    schedule = job_schedule()
    put(broker, schedule, 0.2)
    effects = taken_back(observe(broker, "q", UID))
    assert len(effects) == 1
    eventually(lambda: states(broker) == ["Waiting"])
    assert apply(broker, "q", 1, schedule, effects) == (0, 0)
    assert fetched(hand()).actor_name == "generate_report"


def test_a_schedule_that_is_gone_leaves_nothing(broker: JobyardBroker) -> None:
    schedule = job_schedule(overlapPolicy="Skip")
    before = snapshot(broker)
    put(broker, schedule, 30, 60)
    assert broker.schedules.uids("q") == [UID]
    assert forget(broker, "q", 1, UID) == 2
    assert forget(broker, "q", 1, UID) == 0
    left = {name: value for name, value in snapshot(broker).items() if name not in before}
    assert {name.rpartition(":")[2] for name in left} == {"queues", "counts", "operator"}
    assert list(left[f"{broker.namespace}:{{q}}:operator"]) == [b"epoch"]


def test_a_leader_that_leads_no_more_changes_nothing(broker: JobyardBroker) -> None:
    schedule = job_schedule()
    tick = Tick(now(broker), now(broker) + timedelta(minutes=1))
    apply(broker, "q", 7, schedule, [Enqueue(tick)])
    known = observe(broker, "q", UID)
    before = snapshot(broker)
    later = Enqueue(Tick(tick.nominal + timedelta(minutes=1), tick.due))
    for act in (
        lambda: apply(broker, "q", 6, schedule, [later]),
        lambda: apply(broker, "q", 6, schedule, taken_back(known)),
        lambda: run_now(broker, "q", 6, schedule, "now"),
        lambda: forget(broker, "q", 6, UID),
    ):
        with pytest.raises(Superseded):
            act()
    assert snapshot(broker) == before


def test_a_run_by_hand(broker: JobyardBroker, hand: MakeHand) -> None:
    schedule = job_schedule()
    made = run_now(broker, "q", 1, schedule, "1764000000")
    assert run_now(broker, "q", 1, schedule, "1764000000") == made
    worker = hand()
    worker.bury(worker.fetch_one())
    assert worker.ids() == []
    seen = observe(broker, "q", UID)
    assert [(run.token, run.state, run.job_id) for run in seen.runs] == [("1764000000", "Failed", made)]
    assert (seen.fired, seen.failed, seen.newest) == (1, 1, None)


def test_what_became_of_a_run_is_known_longer_than_its_job(broker: JobyardBroker, hand: MakeHand) -> None:
    first, second = put(broker, job_schedule(), -2, -1)
    worker = hand()
    worker.done(worker.fetch_one())
    assert states(broker) == ["Succeeded", "Waiting"]
    broker.cancel(second, queue="q")
    assert states(broker) == ["Succeeded", "Cancelled"]
    client = broker.server.client()
    for place, gone in (("completed", first), ("cancelled", second)):
        client.zrem(broker.keys("q")[place], gone)
        for field in ("jobs", "runs", "results"):
            client.hdel(broker.keys("q")[field], gone)
    assert states(broker) == ["Succeeded", "Cancelled"]


def test_of_many_runs_the_newest_are_kept_and_the_others_stay_recorded(broker: JobyardBroker) -> None:
    schedule = job_schedule()
    ids = put(broker, schedule, *range(-250, 0))
    broker.cancel_many("q", ids)
    observe(broker, "q", UID)
    seen = observe(broker, "q", UID)
    assert len(seen.runs) == 200
    assert (seen.fired, seen.cancelled) == (250, 250)
    assert seen.floor == seen.runs[0].nominal - timedelta(seconds=1)
    # None of those that are forgotten comes again.
    old = [Enqueue(Tick(seen.floor - timedelta(seconds=n), seen.floor), late=True) for n in range(50)]
    assert apply(broker, "q", 1, schedule, old) == (0, 0)


def test_a_starting_deadline(broker: JobyardBroker, hand: MakeHand) -> None:
    schedule = job_schedule(startingDeadlineSeconds=1)
    [made] = put(broker, schedule, -0.1)
    worker = hand()
    broker.pause("q")
    eventually(lambda: worker.fetch(1) or look_up(broker, made, queue="q").state == "dead")
    assert look_up(broker, made, queue="q").last_error["error"] == "Expired"
    assert states(broker) == ["Failed"]


def test_a_unique_job_stands_in_the_way(broker: JobyardBroker) -> None:
    schedule = job_schedule(template={"actor": "sync", "options": {"unique": "sync", "tags": ["nightly"]}})
    put(broker, schedule, -2)
    put(broker, schedule, -1)
    seen = observe(broker, "q", UID)
    assert [run.state for run in seen.runs] == ["Waiting", "Skipped"]
    assert seen.skipped == 1
    assert look_up(broker, seen.runs[0].job_id, queue="q").tags == ("nightly",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"delay": 5}, "template.options.delay makes no sense here"),
        ({"idempotency_key": "x"}, "a tick has an id of its own"),
        ({"expires": -1}, "template makes no job"),
    ],
)
def test_a_template_that_makes_no_job(broker: JobyardBroker, options: dict[str, Any], words: str) -> None:
    schedule = job_schedule(template={"actor": "sync", "options": options})
    before = snapshot(broker)
    with pytest.raises(ScheduleError, match=words):
        apply(broker, "q", 1, schedule, [Enqueue(Tick(now(broker), now(broker)))])
    assert snapshot(broker) == before


# Overlaps -----------------------------------------------------------------------------------------------------------


def test_allow(broker: JobyardBroker, hand: MakeHand) -> None:
    put(broker, job_schedule(overlapPolicy="Allow"), -2, -1)
    assert len(hand().ids(5)) == 2


def test_skip(broker: JobyardBroker, hand: MakeHand) -> None:
    first, second, third = put(broker, job_schedule(overlapPolicy="Skip"), -1, 0.1, 0.6)
    worker = hand()
    eventually(lambda: worker.fetch(0) is not None and broker.inspector.stats("q").delayed == 3)
    running = fetched(worker)
    assert running.message_id == first
    eventually(lambda: worker.fetch(5) or states(broker)[1] == "Skipped")
    worker.done(running)
    assert fetched(worker).message_id == third
    assert states(broker) == ["Succeeded", "Skipped", "Running"]
    assert broker.inspector.job(second, queue="q") is None
    assert observe(broker, "q", UID).skipped == 1


def test_skip_holds_while_the_earlier_one_waits_or_is_retried(broker: JobyardBroker, hand: MakeHand) -> None:
    first, *_ = put(broker, job_schedule(overlapPolicy="Skip"), -3, -2)
    worker = hand()
    running = worker.fetch_one()
    assert running.message_id == first
    assert states(broker) == ["Running", "Skipped"]
    worker.retry(running, 60_000)
    put(broker, job_schedule(overlapPolicy="Skip"), -1)
    eventually(lambda: worker.fetch(5) or states(broker)[2] == "Skipped")
    assert states(broker) == ["Waiting", "Skipped", "Skipped"]


def test_buffer_one(broker: JobyardBroker, hand: MakeHand) -> None:
    first, second, _ = put(broker, job_schedule(overlapPolicy="BufferOne"), -3, -2, -1)
    worker = hand()
    running = fetched(worker)
    assert running.message_id == first
    eventually(lambda: worker.fetch(5) or states(broker) == ["Running", "Waiting", "Skipped"])
    worker.done(running)
    waited = fetched(worker)
    assert waited.message_id == second
    # One more may wait for this one.
    [fourth] = put(broker, job_schedule(overlapPolicy="BufferOne"), -0.5)
    assert worker.ids(5) == []
    worker.done(waited)
    assert fetched(worker).message_id == fourth


def test_replace_what_waits(broker: JobyardBroker, hand: MakeHand) -> None:
    first, second = put(broker, job_schedule(overlapPolicy="Replace"), -2, -1)
    worker = hand()
    assert fetched(worker).message_id == second
    assert look_up(broker, first, queue="q").state == "cancelled"
    assert states(broker) == ["Cancelled", "Running"]


def test_replace_what_runs(broker: JobyardBroker, hand: MakeHand) -> None:
    [first] = put(broker, job_schedule(overlapPolicy="Replace"), -2)
    worker = hand()
    running = fetched(worker)
    [second] = put(broker, job_schedule(overlapPolicy="Replace"), -1)
    later = fetched(worker)
    assert (running.message_id, later.message_id) == (first, second)
    assert worker.renew() == ([], [first])
    worker.back(running)  # Its worker stops it.
    assert states(broker) == ["Cancelled", "Running"]


def test_replace_what_is_between_two_attempts(broker: JobyardBroker, hand: MakeHand) -> None:
    [first] = put(broker, job_schedule(overlapPolicy="Replace"), -2)
    worker = hand()
    worker.retry(fetched(worker), 1)
    [second] = put(broker, job_schedule(overlapPolicy="Replace"), -1)
    # Both are due now, and are looked at in one call.
    assert fetched(worker).message_id in (first, second)
    eventually(lambda: worker.fetch(5) or states(broker)[1] == "Running")


def test_queues_whose_schedules_may_overlap_pay_nothing(broker: JobyardBroker) -> None:
    put(broker, job_schedule(overlapPolicy="Allow"), 60)
    policy = broker.keys("q")["policy"]
    client = broker.server.client()
    assert not client.hexists(policy, "overlaps")
    put(broker, job_schedule(overlapPolicy="Skip"), 61)
    assert client.hexists(policy, "overlaps")
    forget(broker, "q", 1, UID)
    assert not client.hexists(policy, "overlaps")


@pytest.mark.parametrize("overlap", ["Allow", "Skip", "BufferOne", "Replace"])
def test_a_worker_runs_each_tick_once_with_nobody_there(
    broker: JobyardBroker, start_worker: Callable[..., Any], overlap: str
) -> None:
    ran: list[str] = []

    @jobyard.actor(queue_name="q", actor_name="generate_report")
    def generate_report(kind: str) -> None:
        ran.append(kind)

    put(broker, job_schedule(overlapPolicy=overlap), 0.2, 0.5, 0.8, 1.1)
    start_worker(threads=2)
    eventually(lambda: states(broker) == ["Succeeded"] * 4)
    assert ran == ["sales"] * 4


# Status, Redis and leaders that get lost ----------------------------------------------------------------------------


def follow(broker: JobyardBroker, schedule: JobSchedule) -> JobSchedule:
    """One round of a controller."""
    seen: Seen = observe(broker, "q", UID)
    made = plan(schedule, seen)
    apply(broker, "q", 1, schedule, made.effects)
    return schedule.model_copy(update={"status": new_status(schedule, observe(broker, "q", UID), made)})


def test_a_redis_that_was_emptied_fires_nothing_again(broker: JobyardBroker) -> None:
    created = now(broker) - timedelta(seconds=5)
    schedule = job_schedule(schedules=["* * * * * *"], catchUp={"policy": "All", "maxRuns": 100})
    metadata = schedule.metadata.model_copy(update={"creation_timestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ")})
    schedule = follow(broker, schedule.model_copy(update={"metadata": metadata}))
    fired = observe(broker, "q", UID)
    known = {run.nominal for run in fired.runs if run.state != "Planned"}
    assert len(known) >= 4
    client = broker.server.client()
    client.delete(*client.scan_iter(match=f"{broker.namespace}:*", count=1000))
    schedule = follow(broker, schedule)
    assert not known & {run.nominal for run in observe(broker, "q", UID).runs}
    # What was planned is planned again, and counting goes on.
    again = observe(broker, "q", UID)
    assert again.runs
    assert again.fired >= fired.fired


def test_a_status_that_was_lost_fires_nothing_again(broker: JobyardBroker) -> None:
    schedule = job_schedule(schedules=["* * * * * *"], catchUp={"policy": "All", "maxRuns": 100})
    follow(broker, schedule)
    before = {run.nominal for run in observe(broker, "q", UID).runs}
    follow(broker, schedule)
    after = observe(broker, "q", UID).runs
    assert len({run.nominal for run in after}) == len(after)
    assert before <= {run.nominal for run in after}
