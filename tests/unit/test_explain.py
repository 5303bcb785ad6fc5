"""Why a job is where it is: each reason, from a situation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobyard.broker.breakers import Breaker
from jobyard.broker.explain import Explanation, Reason, explain, explain_unknown, span
from jobyard.broker.inspector import Job
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.situation import Situation
from jobyard.broker.workers import WorkerInfo

NOW = 1_800_000_000_000
ONE_PER_KEY = QueuePolicy(key_concurrency=1)


def worker(name: str = "pod/1", *, busy: int = 0, **changes: Any) -> WorkerInfo:
    said: dict[str, Any] = {
        "name": name, "pod": None, "queues": ["emails"], "actors": ["welcome"], "threads": 2, "draining": False,
        "running": [f"job-{number}" for number in range(busy)], "completed": 0, "failed": 0, "started_at": 0,
        "version": "1", "token": f"token of {name}", "seen_at": NOW, "expires_at": NOW + 15_000, **changes,
    }  # fmt: skip
    return WorkerInfo(**said)


def situation(
    state: Any, *, workers: list[WorkerInfo] | None = None, about: dict[str, Any] | None = None, **more: Any
) -> Situation:
    job: dict[str, Any] = {
        "id": "the-job", "queue": "emails", "state": state, "actor": "welcome", "args": (), "kwargs": {}, "options": {},
        "priority": 5, "attempts": 0, "created_at": NOW - 60_000, "position": 0 if state == "waiting" else None,
        **(about or {}),
    }  # fmt: skip
    return Situation(job=Job(**job), now=NOW, workers=[worker()] if workers is None else workers, **more)


def failed(error: str, message: str = "no", **more: Any) -> list[dict[str, Any]]:
    return [{"attempt": 1, "error": error, "message": message, "ended_at": NOW - 10, **more}]


TABLE: list[tuple[str, Situation, Reason, str]] = [
    ("next", situation("waiting"), Reason.NEXT, "It is the next one, and a worker is about to take it."),
    (
        "paused",
        situation("waiting", policy=QueuePolicy(paused=True), about={"position": 2}, workers=[]),
        Reason.QUEUE_PAUSED,
        "Queue 'emails' is paused, behind 2 jobs.",
    ),
    (
        "held by the operator",
        situation("waiting", held="the image\ncan't be pulled", about={"position": 1}, workers=[]),
        Reason.QUEUE_HELD,
        "The operator holds queue 'emails' (the image can't be pulled), behind 1 job.",
    ),
    (
        "parked and held",
        situation("parked", held="no image", key="acme"),
        Reason.QUEUE_HELD,
        "The operator holds queue 'emails' (no image); besides, it waits for a slot of 'acme'.",
    ),
    ("no worker", situation("waiting", workers=[]), Reason.NO_WORKER, "No worker serves queue 'emails'."),
    (
        "workers that are not in the register",
        situation("waiting", workers=[], seen_at=NOW - 4_000),
        Reason.NEXT,
        "It is the next one, and a worker is about to take it.",
    ),
    (
        "workers that were there",
        situation("waiting", workers=[], seen_at=NOW - 40_000),
        Reason.NO_WORKER,
        "No worker serves queue 'emails'.",
    ),
    (
        "others' workers",
        situation("waiting", workers=[worker(queues=["images"]), worker(draining=True)]),
        Reason.NO_WORKER,
        "No worker serves queue 'emails'.",
    ),
    (
        "unknown actor",
        situation("waiting", workers=[worker("a"), worker("b", actors=["other"])], about={"actor": "goodbye"}),
        Reason.ACTOR_NOT_KNOWN,
        "None of the workers of queue 'emails' knows the actor 'goodbye' (a, b).",
    ),
    (
        "queue's concurrency",
        situation("waiting", policy=QueuePolicy(concurrency=1), active=1, running=["x"], about={"position": 1}),
        Reason.QUEUE_CONCURRENCY,
        "Queue 'emails' runs 1 job, which is its limit (x), behind 1 job.",
    ),
    (
        "queue's rate",
        situation("waiting", policy=QueuePolicy(rate=1), queue_rate_at=NOW + 2_500),
        Reason.QUEUE_RATE,
        "The rate of queue 'emails' allows the next start in 2 s.",
    ),
    (
        "rate with room",
        situation("waiting", policy=QueuePolicy(rate=1), queue_rate_at=NOW),
        Reason.NEXT,
        "It is the next one, and a worker is about to take it.",
    ),
    (
        "key's concurrency",
        situation("waiting", policy=ONE_PER_KEY, key="acme", slots=1, holders=["x"]),
        Reason.KEY_CONCURRENCY,
        "Its key 'acme' runs 1 job, which is the key's limit (x).",
    ),
    (
        "dependency is down",
        situation("parked", parked_ahead=2, breaker=Breaker("emails", "smtp", "open", 5, 3, NOW - 1_000, NOW + 30_000)),
        Reason.DEPENDENCY_DOWN,
        "'smtp' has failed 5 times in a row, so its jobs are held, 2 jobs before this one; a job tries it again in 30 s.",
    ),
    (
        "dependency is tried",
        situation("parked", breaker=Breaker("emails", "smtp", "half-open", 5, 1, NOW - 1_000, probe="x")),
        Reason.DEPENDENCY_DOWN,
        "'smtp' has failed 5 times in a row, so its jobs are held; job x is trying it now.",
    ),
    (
        "dependency is switched off",
        situation("parked", breaker=Breaker("emails", "smtp", "half-open", 0, 1, NOW - 1_000)),
        Reason.DEPENDENCY_DOWN,
        "'smtp' is switched off, so its jobs are held; the next job tries it again.",
    ),
    (
        "another key's",
        situation("waiting", policy=ONE_PER_KEY),
        Reason.NEXT,
        "It is the next one, and a worker is about to take it.",
    ),
    (
        "turn",
        situation(
            "waiting", policy=QueuePolicy(fair=True), key="acme", about={"position": 3}, ahead={5: 3}, ahead_read=3
        ),
        Reason.FAIR_TURN,
        "It waits for the turn of its key 'acme', behind 3 jobs (3 of priority 5).",
    ),
    (
        "behind",
        situation("waiting", about={"position": 1_204}, ahead={5: 1_200, 0: 4}, ahead_read=1_204),
        Reason.BEHIND_OTHERS,
        "It is behind 1,204 jobs (4 of priority 0, 1,200 of priority 5).",
    ),
    (
        "behind more than can be read",
        situation("waiting", about={"position": 5_000}, ahead={5: 1_000}, ahead_read=1_000),
        Reason.BEHIND_OTHERS,
        "It is behind 5,000 jobs (of the first 1,000: 1,000 of priority 5).",
    ),
    (
        "busy",
        situation("waiting", workers=[worker(busy=2)]),
        Reason.WORKERS_BUSY,
        "It is the next one; all workers of its queue are busy (pod/1: 2 of 2).",
    ),
    (
        "parked",
        situation("parked", policy=ONE_PER_KEY, key="acme", slots=1, holders=["x"], parked_ahead=2),
        Reason.KEY_CONCURRENCY,
        "Its key 'acme' runs 1 job, which is the key's limit (x), behind 2 jobs of that key.",
    ),
    (
        "parked and called",
        situation("parked", policy=ONE_PER_KEY, key="acme"),
        Reason.KEY_CONCURRENCY,
        "It waits for a job of its key 'acme' that comes before it.",
    ),
    (
        "parked and paused",
        situation("parked", policy=QueuePolicy(paused=True), key="acme"),
        Reason.QUEUE_PAUSED,
        "Queue 'emails' is paused; besides, it waits for a slot of 'acme'.",
    ),
    (
        "delayed",
        situation("delayed", about={"due_at": NOW + 90_000}),
        Reason.DELAYED,
        "It was enqueued with a delay and is due in 90 s.",
    ),
    (
        "due",
        situation("delayed", about={"due_at": NOW - 1}),
        Reason.DELAYED,
        "It was enqueued with a delay and is due now, as soon as a worker looks.",
    ),
    (
        "key's rate",
        situation("delayed", key="acme", granted=True, about={"due_at": NOW + 500}),
        Reason.KEY_RATE,
        "The rate of its key 'acme' has given it its time: it starts in 500 ms.",
    ),
    (
        "back-off",
        situation("delayed", about={"due_at": NOW + 4_000, "attempts": 2, "errors": failed("OSError", "disk\nfull")}),
        Reason.RETRY_BACK_OFF,
        "Attempt 2 failed (OSError: disk full); the next one is in 4 s.",
    ),
    (
        "recovered",
        situation("delayed", about={"due_at": NOW + 1, "attempts": 2, "errors": failed("WorkerDied", "killed")}),
        Reason.RECOVERED,
        "It runs again in 1 ms, since its worker was lost in attempt 2 (WorkerDied: killed).",
    ),
    (
        "put off",
        situation("delayed", put_off=True, about={"due_at": NOW + 60_000}),
        Reason.PUT_OFF,
        "It asked to be run again later, without using an attempt: in 60 s.",
    ),
    (
        "retried slowly",
        situation("delayed", about={"due_at": NOW + 3 * 3_600_000, "errors": failed("OSError")}),
        Reason.RETRIED_SLOWLY,
        "It was a dead letter and is retried at a limited rate: in 3 h.",
    ),
    (
        "running",
        situation(
            "active",
            lease_until=NOW + 9,
            about={
                "worker": "token of pod/1",
                "attempts": 1,
                "started_at": NOW - 5_000,
                "progress": {"percent": 40, "message": "rows"},
            },
        ),
        Reason.RUNNING,
        "It runs on pod/1, attempt 1, for 5 s; 40 %: rows.",
    ),
    (
        "cancelling",
        situation("active", lease_until=NOW + 9, cancelled_at=NOW - 3_000, about={"worker": "gone", "attempts": 1}),
        Reason.CANCELLING,
        "It runs on gone, attempt 1, and was asked to stop 3 s ago.",
    ),
    (
        "late",
        situation(
            "active", lease_until=NOW + 9, cancelled_at=NOW - 3_000, late=True, about={"worker": "gone", "attempts": 1}
        ),
        Reason.DEADLINE_EXCEEDED,
        "It runs on gone, attempt 1, and was asked to stop 3 s ago, since its deadline is over.",
    ),
    (
        "lease",
        situation("active", lease_until=NOW - 2_000, about={"worker": "gone", "attempts": 1}),
        Reason.LEASE_RAN_OUT,
        "It runs on gone, attempt 1, but that worker's lease ran out 2 s ago.",
    ),
    (
        "used up",
        situation("dead", about={"attempts": 3, "errors": failed("OSError", "disk full")}),
        Reason.ATTEMPTS_USED_UP,
        "3 attempts failed, the last one with OSError: disk full.",
    ),
    (
        "final",
        situation("dead", about={"attempts": 1, "errors": failed("NoSuchUserError", final=True)}),
        Reason.PERMANENT_ERROR,
        "Attempt 1 failed with an error that is final (NoSuchUserError: no).",
    ),
    (
        "expired",
        situation("dead", about={"errors": failed("Expired")}),
        Reason.EXPIRED,
        "It was not started by the time by which it had to be.",
    ),
    (
        "deadline",
        situation("dead", about={"errors": failed("DeadlineExceeded")}),
        Reason.DEADLINE_EXCEEDED,
        "It could not be done by its deadline.",
    ),
    (
        "no time for another attempt",
        situation("dead", about={"attempts": 2, "errors": failed("OSError", "disk full", deadline=True)}),
        Reason.DEADLINE_EXCEEDED,
        "Attempt 2 failed (OSError: disk full), and the next one could not be done by its deadline.",
    ),
    (
        "killed",
        situation("dead", about={"attempts": 1, "errors": failed("LeaseExpired", "")}),
        Reason.KILLED_ITS_WORKERS,
        "Its worker was lost in every attempt, 1 in all (LeaseExpired).",
    ),
    (
        "actor",
        situation("dead", about={"attempts": 0, "errors": failed("ActorNotFound")}),
        Reason.ACTOR_NOT_FOUND,
        "No worker has known its actor 'welcome' for long.",
    ),
    (
        "unreadable",
        situation("dead", about={"actor": "(unreadable)"}),
        Reason.UNREADABLE,
        "Its envelope can't be read.",
    ),
    (
        "completed",
        situation("completed", about={"attempts": 2, "started_at": NOW - 3_000, "ended_at": NOW}),
        Reason.COMPLETED,
        "It completed in attempt 2, which took 3 s.",
    ),
    ("cancelled", situation("cancelled"), Reason.CANCELLED, "Somebody cancelled it before it ran."),
]


@pytest.mark.parametrize(("one", "reason", "sentence"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_reason_is_told_in_a_sentence(one: Situation, reason: Reason, sentence: str) -> None:
    found = explain(one)
    assert (found.reason, found.sentence) == (reason, sentence)
    assert (found.job_id, found.queue, found.state) == ("the-job", "emails", one.job.state)
    assert "\n" not in found.sentence + found.advice


def test_every_reason_is_in_the_table() -> None:
    assert {row[2] for row in TABLE} | {Reason.UNKNOWN} == set(Reason)


def test_every_reason_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    assert {reason for reason in Reason if f"`{reason}`" not in page} == set()


def test_what_somebody_should_do_something_about_has_advice() -> None:
    for name, one, reason, _ in TABLE:
        # These go on, or have gone, by themselves.
        well = (Reason.NEXT, Reason.RUNNING, Reason.DELAYED, Reason.PUT_OFF, Reason.RETRIED_SLOWLY, Reason.COMPLETED)
        assert bool(explain(one).advice) == (reason not in (*well, Reason.CANCELLED) and name != "parked and called"), (
            name
        )


def facts(name: str) -> dict[str, Any]:
    return explain(next(row[1] for row in TABLE if row[0] == name)).facts


def test_the_facts_are_those_that_it_rests_on() -> None:
    assert facts("behind")["ahead"] == {"0": 4, "5": 1200}
    assert facts("parked")["holders"] == ["x"]
    assert facts("queue's rate")["queue_rate_at"] == NOW + 2_500
    assert facts("back-off")["last_error"]["error"] == "OSError"
    assert facts("running")["lease_left"] == 9
    assert [one["knows_actor"] for one in facts("unknown actor")["workers"]] == [False, False]
    assert "holders" not in facts("next"), "nothing is shown of what there is not"


def test_a_job_that_nobody_knows_may_have_been_forgotten() -> None:
    one: Explanation = explain_unknown("x", {"emails": QueuePolicy(completed=5, dead_ttl=3_600_000)})
    assert (one.reason, one.queue, one.state) == (Reason.UNKNOWN, None, None)
    assert one.sentence.startswith(
        "Queue 'emails' doesn't know it, and keeps completed jobs for 60 min (up to 5), "
        "cancelled jobs for 24 h (up to 10,000), dead jobs for 60 min (up to 100,000): it ended so long ago"
    )
    several = explain_unknown("x", {"a": QueuePolicy(), "b": QueuePolicy(completed=0)})
    assert several.sentence.startswith("None of 2 queues knows it: ")
    assert several.facts["retention"]["b"]["completed"] == {"jobs": 0, "ms": 3_600_000}


@pytest.mark.parametrize(
    ("ms", "text"),
    [(-5, "0 ms"), (999, "999 ms"), (1_000, "1 s"), (119_999, "119 s"), (120_000, "2 min"), (7_200_000, "2 h"),
     (172_800_000, "2 days")],
)  # fmt: skip
def test_a_length_of_time_is_told_roughly(ms: int, text: str) -> None:
    assert span(ms) == text
