"""Every script may be sent twice, since a reply can get lost: the second time changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.schedules.calendars import UID, job_schedule

from jobyard.batch import Batch
from jobyard.broker import JobyardBroker
from jobyard.broker.delivery import Completed, FollowUp
from jobyard.broker.envelope import seal
from jobyard.broker.link import Link
from jobyard.broker.pods import fence
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.scripts import Argument, Script, script
from jobyard.errors import Cancelled
from jobyard_operator.core.schedules import Enqueue, TakeBack, Tick, taken_back
from jobyard_operator.core.schedules.ticks import at
from jobyard_operator.redis import policy as operator_policy
from jobyard_operator.redis import schedules
from jobyard_operator.redis.memory import remember
from jobyard_operator.redis.wakeup import sleep
from jobyard_operator.resources import JobSchedule
from support.hand import Hand, message
from support.snapshot import snapshot

Act = Callable[["Scene"], Any]


class Scene:
    """Two dead letters, a delayed job, one that runs, and two that wait."""

    def __init__(self, broker: JobyardBroker, make_hand: Callable[..., Hand]) -> None:
        self.broker = broker
        self.hand = make_hand("q", "other")
        self.letters = broker.dead_letters
        for number in range(2):
            broker.enqueue(message("q", job_id=f"dead-{number}"))
            self.hand.bury(self.hand.fetch_one())
        broker.enqueue(message("q", job_id="active"))
        (self.active,) = self.hand.fetch()
        broker.enqueue(message("q", job_id="delayed"), delay=60_000)
        broker.enqueue_many([message("q", job_id=f"waiting-{number}") for number in range(2)])
        broker.enqueue(message("q", job_id="first-of-its-kind", unique="u"), delay=60_000)
        broker.enqueue(message("other", job_id="first-of-the-others", unique="u"), delay=60_000)

    def follow_up(self) -> None:
        new = message("other", job_id="follow-up")
        self.active.follow_ups.append(FollowUp("other", "follow-up", seal(new, 5), 5, 0))

    def done_with_follow_up(self) -> None:
        self.follow_up()
        self.hand.done(self.active, b'"result"')

    def buried_with_follow_up(self) -> None:
        self.follow_up()
        self.hand.bury(self.active)

    def retried(self) -> None:
        self.follow_up()
        self.hand.retry(self.active, 60_000)

    def cancelled_while_running(self) -> None:
        self.active.stuff_exception(Cancelled())
        self.hand.settle(self.active)

    def all_in_one_call(self) -> None:
        """Finish one, give one back and fetch two, as a busy worker does."""
        (waiting,) = self.hand.fetch()
        self.active.result = b"1"
        self.hand.dispatcher.settle(self.active)
        self.hand.dispatcher.give_back([waiting])
        assert len(self.hand.fetch(2)) == 2

    def fetch_with_completed_forgotten(self) -> None:
        self.hand.done(self.active)
        self.hand.fetch()

    def report(self) -> None:
        arguments = (self.hand.token, "active", self.active.call, b'{"percent":5}')
        assert self.broker.link.call(script("report"), self.broker.keys("q").all, arguments) == 1

    def revoked(self) -> None:
        done = [Completed("active", self.active.call, b"1")]
        assert self.broker.revoke(self.hand.token, b'{"error":"x"}', completed=done) == (0, 1)

    def debounced(self) -> None:
        self.broker.enqueue(message("q", job_id="newer", unique="u", debounce=True, unique_until=30))

    def enqueue_a_batch(self) -> Batch:
        jobs = [message(queue, job_id=f"{queue}-of-batch", priority=0) for queue in ("q", "other")]
        return Batch(
            jobs, on_complete=message("q"), on_failure=message("other"), name="b", broker=self.broker
        ).enqueue()

    def end_a_batch(self) -> None:
        self.enqueue_a_batch()
        done, buried = self.hand.fetch(2)
        self.hand.done(done)
        self.hand.bury(buried)
        self.broker.dead_letters.retry(buried.queue_name, [buried.message_id])

    def fetch_with_limits(self) -> None:
        """One starts, one is parked, one is given its time."""
        self.broker.configure("q", QueuePolicy(key_concurrency=1, key_rate=1, rate=1000, rate_burst=10))
        self.broker.enqueue_many(
            [message("q", job_id=f"{key}-{number}", key=key) for number in range(2) for key in "ab"]
        )
        self.hand.fetch(9)

    def finish_with_limits(self) -> None:
        self.fetch_with_limits()
        (keyed,) = [job for job in self.hand.dispatcher.held.values() if job.message_id == "a-0"]
        self.hand.done(keyed)

    def scheduled(self, **seconds: float) -> list[Enqueue]:
        """Ticks of a schedule that skips what overlaps, so many seconds from now."""
        now = at(self.broker.inspector.stats("q").now)
        return [Enqueue(Tick(now + timedelta(seconds=one), now + timedelta(seconds=one))) for one in seconds.values()]

    def plan_ticks(self) -> JobSchedule:
        schedule = job_schedule(overlapPolicy="Skip")
        schedules.apply(self.broker, "q", 3, schedule, self.scheduled(late=-1, soon=60))
        return schedule

    def replan_ticks(self) -> None:
        self.plan_ticks()
        known = schedules.observe(self.broker, "q", UID).runs[1]
        edited = job_schedule(template={"actor": "other"})
        tick = Enqueue(Tick(known.nominal, known.due))
        schedules.apply(self.broker, "q", 3, edited, [TakeBack(known), tick])

    def take_ticks_back(self) -> None:
        schedule = self.plan_ticks()
        effects = taken_back(schedules.observe(self.broker, "q", UID))
        assert schedules.apply(self.broker, "q", 3, schedule, effects)[1] == 1

    def note_what_became_of_ticks(self) -> None:
        self.plan_ticks()
        late = schedules.observe(self.broker, "q", UID).runs[0]
        self.broker.cancel(late.job_id, queue="q")
        schedules.observe(self.broker, "q", UID)

    def forget_a_schedule(self) -> None:
        self.plan_ticks()
        schedules.forget(self.broker, "q", 3, UID)


ACTS: dict[str, Act] = {
    "plan ticks": Scene.plan_ticks,
    "plan ticks anew": Scene.replan_ticks,
    "take ticks back": Scene.take_ticks_back,
    "note what became of ticks": Scene.note_what_became_of_ticks,
    "forget a schedule": Scene.forget_a_schedule,
    "run a schedule by hand": lambda scene: schedules.run_now(scene.broker, "q", 3, job_schedule(), "now"),
    "enqueue": lambda scene: scene.broker.enqueue(message("q", job_id="new")),
    "enqueue delayed": lambda scene: scene.broker.enqueue(message("q", job_id="new"), delay=5000),
    "enqueue many": lambda scene: scene.broker.enqueue_many(
        [message(queue, job_id=f"{queue}-{number}") for number in range(3) for queue in ("q", "other")]
    ),
    "enqueue unique": lambda scene: scene.broker.enqueue(message("q", job_id="new", unique="v", key="k", expires=9000)),
    "enqueue a second unique": lambda scene: scene.broker.enqueue(message("other", job_id="new", unique="u")),
    "enqueue debounced": Scene.debounced,
    "enqueue a batch": Scene.enqueue_a_batch,
    "end a batch": Scene.end_a_batch,
    "cancel a batch": lambda scene: scene.enqueue_a_batch().cancel(),
    "fetch with limits": Scene.fetch_with_limits,
    "finish with limits": Scene.finish_with_limits,
    "fetch": lambda scene: scene.hand.fetch(2),
    "done": lambda scene: scene.hand.done(scene.active, b"5"),
    "done with follow-up": Scene.done_with_follow_up,
    "buried with follow-up": Scene.buried_with_follow_up,
    "retried": Scene.retried,
    "retried later": lambda scene: scene.hand.retry(scene.active, 5000, counted=False),
    "cancelled while running": Scene.cancelled_while_running,
    "back": lambda scene: scene.hand.back(scene.active),
    "finish, give back and fetch": Scene.all_in_one_call,
    "finish and fetch": Scene.fetch_with_completed_forgotten,
    "renew": lambda scene: scene.hand.renew(),
    "report": Scene.report,
    "cancel waiting": lambda scene: scene.broker.cancel("waiting-0"),
    "cancel many": lambda scene: scene.broker.cancel_many("q", ["waiting-0", "delayed", "active", "dead-0"]),
    "cancel active": lambda scene: scene.broker.cancel("active"),
    "configure": lambda scene: scene.broker.configure("q", QueuePolicy(paused=True, ageing=5, dead=None)),
    "a policy of the operator": lambda scene: operator_policy.configure(
        scene.broker, "q", 3, QueuePolicy(paused=True, ageing=5, weights={"k": 3})
    ),
    "hold": lambda scene: operator_policy.hold(scene.broker, "q", 3, "why"),
    "remember": lambda scene: remember(scene.broker, "q", 3, b"memory"),
    "sleep": lambda scene: sleep(scene.broker, "fresh", 3),
    "wake": lambda scene: (sleep(scene.broker, "fresh", 3), scene.broker.enqueue(message("fresh", job_id="new"))),
    "retry dead": lambda scene: scene.letters.retry("q", ["dead-0", "dead-1"], rate=1),
    "edit and retry": lambda scene: scene.letters.edit_and_retry("q", "dead-0", lambda args, kwargs: ([1], kwargs)),
    "discard": lambda scene: scene.letters.discard("q", ["dead-0"]),
    "revoke": lambda scene: scene.broker.revoke(scene.hand.token, b'{"error":"WorkerDied"}'),
    "revoke with completed": Scene.revoked,
    "fence a pod": lambda scene: fence(scene.broker, "mail-1", b'{"error":"OOMKilled"}', counts=True),
    "fence a pod, at no cost": lambda scene: fence(scene.broker, "mail-1", b'{"error":"Evicted"}', counts=False),
}


@pytest.mark.parametrize("name", ACTS)
def test_a_script_that_is_sent_twice_changes_nothing_the_second_time(
    broker: JobyardBroker, hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = Link.call
    calls: list[str] = []

    def twice(link: Link, one: Script, keys: Sequence[bytes], arguments: Sequence[Argument] = ()) -> Any:
        arguments = tuple(arguments)
        reply = real(link, one, keys, arguments)
        after_once = snapshot(broker)
        again = real(link, one, keys, arguments)
        assert snapshot(broker) == after_once, one.name
        if one.name == "exchange":
            # The same jobs are given again: that is how a worker hears of them when the reply got lost.
            assert sorted(batches(again)) == sorted(batches(reply))
        calls.append(one.name)
        return reply

    monkeypatch.setenv("JOBYARD_POD_NAME", "mail-1")
    scene = Scene(broker, hand)
    untouched = snapshot(broker)
    monkeypatch.setattr(Link, "call", twice)
    ACTS[name](scene)
    monkeypatch.undo()
    assert calls
    assert snapshot(broker) != untouched or name in ("renew", "enqueue a second unique"), "it did nothing at all"


def batches(reply: list[Any]) -> list[tuple[Any, ...]]:
    """The jobs in a reply of an exchange."""
    return [tuple(reply[at : at + 4]) for at in range(6, len(reply), 4)]
