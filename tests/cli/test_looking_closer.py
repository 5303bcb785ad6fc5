"""`jobyard job explain` and `logs`, `dead groups`, `queue breakers`, `batch`: why things are as they are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq import Message

import jobyard as ours
from jobyard.broker import JobyardBroker

Run = Callable[..., Any]


# Explain ------------------------------------------------------------------------------------------------------------


def test_it_is_told_why_a_job_waits_and_what_to_do(jobyard: Run) -> None:
    job_id = jobyard("enqueue", "add", "--queue", "sums").out.strip()
    said = jobyard("job", "explain", job_id)
    assert (said.status, "No worker serves queue 'sums'" in said.out) == (0, True)
    assert "Start a worker" in said.out
    jobyard("queue", "pause", "sums")
    found = jobyard("job", "explain", job_id, "-o", "json").json
    assert (found["reason"], found["state"], found["queue"]) == ("QueuePaused", "waiting", "sums")
    unknown = jobyard("job", "explain", "nothing\x1b", "-o", "json")
    assert (unknown.status, unknown.json["reason"], unknown.json["state"]) == (4, "Unknown", None)


def test_a_dead_letter_is_explained_with_the_word_of_the_outside(jobyard: Run, bury: Callable[..., list[str]]) -> None:
    [job_id] = bury("no such user", 1)
    assert jobyard("job", "explain", job_id, "-o", "json").json["state"] == "failed"


# Logs ---------------------------------------------------------------------------------------------------------------


def test_what_a_job_logs_is_shown_and_followed_to_its_end(
    jobyard: Run, broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    started, release = threading.Event(), threading.Event()

    @dramatiq.actor(queue_name="long", broker=broker)
    def work() -> None:
        ours.log("one \x1b[2J")
        started.set()
        release.wait(20)
        ours.log("two")

    start_worker()
    job_id = work.send().message_id
    assert started.wait(20)
    threading.Timer(0.7, release.set).start()
    said = jobyard("job", "logs", job_id, "--follow")
    assert said.status == 0
    lines = said.out.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["\\x1b[2J", "two"]
    assert "#1 info" in lines[0]
    values = jobyard("job", "logs", job_id, "-o", "json").json
    assert [(line["message"], line["attempt"]) for line in values["lines"]] == [("one \x1b[2J", 1), ("two", 1)]


def test_a_job_that_logged_nothing_says_so(jobyard: Run) -> None:
    job_id = jobyard("enqueue", "add").out.strip()
    assert "logged nothing" in jobyard("job", "logs", job_id).err
    assert jobyard("job", "logs", "nothing").status == 4


# Groups -------------------------------------------------------------------------------------------------------------


def test_the_same_failures_are_one_group_which_is_retried_and_discarded(
    jobyard: Run, broker: JobyardBroker, bury: Callable[..., list[str]]
) -> None:
    bury("user 17 is unknown", 1, 2, 3)
    [group] = jobyard("dead", "groups", "-o", "json").json
    assert (group["error"], group["dead"], group["failures"], group["queue"]) == ("PermanentError", 3, 3, "emails")
    assert group["group"] in jobyard("dead", "groups").out
    assert len(jobyard("dead", "list", "--group", group["group"], "-o", "json").json) == 3
    assert jobyard("dead", "list", "--group", "other", "-o", "json").json == []
    assert jobyard("dead", "retry", "--group", group["group"], "--limit", "1", "-o", "json").json == {"changed": 1}
    assert jobyard("dead", "discard", "--group", group["group"], "--yes", "-o", "json").json == {"changed": 2}
    assert "No dead letter is there" in jobyard("dead", "groups").err
    assert jobyard("dead", "groups", "--all", "-o", "json").json[0]["dead"] == 0
    stats = broker.inspector.stats("emails")
    assert (stats.waiting, stats.dead) == (1, 0)


# Breakers -----------------------------------------------------------------------------------------------------------


def test_a_breaker_is_opened_shown_and_closed(jobyard: Run) -> None:
    jobyard("enqueue", "add", "--queue", "emails")
    assert "No dependency has failed" in jobyard("queue", "breakers").err
    [found] = jobyard("queue", "breakers", "emails", "--open", "smtp", "--for", "1h", "-o", "json").json
    assert (found["queue"], found["dependency"], found["state"], found["held"]) == ("emails", "smtp", "open", 0)
    assert "smtp" in jobyard("queue", "breakers").out
    assert jobyard("queue", "breakers", "emails", "--close", "smtp").status == 0
    assert jobyard("queue", "breakers", "emails", "--close", "smtp").status == 1


@pytest.mark.parametrize(
    "words", [("emails", "--open", "smtp"), ("emails", "--for", "1h"), ("--open", "smtp", "--for", "1h")]
)
def test_a_breaker_that_is_not_named_fully_is_refused(jobyard: Run, words: tuple[str, ...]) -> None:
    assert jobyard("queue", "breakers", *words).status == 2


# Batches ------------------------------------------------------------------------------------------------------------


def test_a_batch_is_shown_and_cancelled(jobyard: Run, broker: JobyardBroker) -> None:
    messages: list[Message[Any]] = [Message("sums", "add", (number,), {}, {}) for number in range(3)]
    batch = ours.Batch(messages, name="monthly", description="sums of the month\x1b", tags=("a",), broker=broker)
    batch.enqueue()
    found = jobyard("batch", "show", batch.id, "-o", "json").json
    assert (found["id"], found["total"], found["pending"], found["state"]) == (batch.id, 3, 3, "running")
    assert "sums of the month\\x1b" in jobyard("batch", "show", batch.id).out
    assert jobyard("batch", "cancel", batch.id).status == 2
    said = jobyard("batch", "cancel", batch.id, "--yes", "-o", "json")
    assert (said.status, said.json["cancelled"], said.json["asked_to_stop"]) == (0, 3, 0)
    after = jobyard("batch", "show", batch.id, "-o", "json").json
    assert (after["cancelled"], after["first_failure"]["state"]) == (3, "cancelled")
    assert after["ended_at"].endswith("Z")


@pytest.mark.parametrize(("batch_id", "status"), [("sums:nothing", 4), ("nothing", 2), ("a b:c", 2)])
def test_a_batch_that_is_not_there_is_one_sentence(jobyard: Run, batch_id: str, status: int) -> None:
    said = jobyard("batch", "show", batch_id)
    assert (said.status, len(said.err.splitlines())) == (status, 1)
