"""`jobyard queue …`, `jobyard worker list` and `jobyard audit`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard_operator.redis.policy import hold
from support.processes import end, spawn
from support.waiting import eventually

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _a_queue(jobyard: Run) -> None:
    jobyard("enqueue", "add", "--queue", "sums")


def test_queues_are_listed_with_what_is_where(jobyard: Run) -> None:
    [queue] = jobyard("queue", "list", "-o", "json").json
    assert (queue["name"], queue["waiting"], queue["accepted"], queue["lost"]) == ("sums", 1, 1, 0)
    assert jobyard("queue", "stats", "sums", "-o", "json").json["waiting"] == 1
    assert "sums" in jobyard("queue", "list").out
    assert "Oldest waits for" in jobyard("queue", "stats", "sums").out


def test_a_queue_is_paused_and_resumed(jobyard: Run, broker: JobyardBroker) -> None:
    assert jobyard("queue", "pause", "sums").status == 0
    assert broker.inspector.stats("sums").policy.paused
    assert "paused" in jobyard("queue", "list").out
    assert jobyard("queue", "resume", "sums").status == 0
    assert not broker.inspector.stats("sums").policy.paused


def test_a_queue_that_the_operator_holds_says_so(jobyard: Run, broker: JobyardBroker) -> None:
    hold(broker, "sums", 1, "no image \x1b[31m")
    assert "held" in jobyard("queue", "list").out
    assert r"no image \x1b[31m" in jobyard("queue", "stats", "sums").out
    assert jobyard("queue", "stats", "sums", "-o", "json").json["held"] == "no image \x1b[31m"
    assert r"the operator holds it: no image \x1b[31m" in jobyard("queue", "resume", "sums").out
    assert "held, so what waits" in jobyard("queue", "drain", "sums").err


def test_if_one_queue_is_unknown_none_is_paused(jobyard: Run, broker: JobyardBroker) -> None:
    assert jobyard("queue", "pause", "sums", "nowhere").status == 4
    assert not broker.inspector.stats("sums").policy.paused
    assert broker.inspector.queues() == ["sums"]


def test_fields_of_a_policy_are_set_and_taken_away(jobyard: Run) -> None:
    words = ("--set", "concurrency=5", "--set", "rate=10", "--set", "completed_ttl=2h", "--set", "weights.gold=3")
    said = jobyard("queue", "policy", "sums", *words, "-o", "json")
    wanted = {"concurrency": 5, "rate": 10.0, "completed_ttl": 7_200_000, "weights": {"gold": 3.0}}
    assert said.json == {"name": "sums", "policy": wanted}
    jobyard("queue", "policy", "sums", "--unset", "rate", "--set", "ageing=2m")
    shown = jobyard("queue", "policy", "sums", "-o", "json").json["policy"]
    assert (shown["ageing"], "rate" in shown) == (120, False)
    assert "2h" in jobyard("queue", "policy", "sums").out


@pytest.mark.parametrize(
    "words",
    [
        ("--set", "rate=0"), ("--set", "rate"), ("--set", "rate="), ("--set", "colour=3"), ("--unset", "colour"),
        ("--set", "fair=yes", "--set", "ageing=5"), ("--set", "completed_ttl=soon"), ("--set", "weights={}"),
    ],
)  # fmt: skip
def test_a_policy_that_can_not_be_changes_nothing(jobyard: Run, broker: JobyardBroker, words: tuple[str, ...]) -> None:
    said = jobyard("queue", "policy", "sums", *words)
    assert said.status == 2
    assert len(said.err.splitlines()) == 1
    assert broker.inspector.stats("sums").policy.model_dump(exclude_none=True) == {}


def test_what_is_new_must_fit_to_what_is_there(jobyard: Run) -> None:
    assert jobyard("queue", "policy", "sums", "--set", "ageing=60").status == 0
    assert jobyard("queue", "policy", "sums", "--set", "fair=true").status == 2
    assert jobyard("queue", "policy", "sums", "--set", "fair=true", "--unset", "ageing").status == 0


def test_a_policy_that_can_not_be_read_is_one_sentence_and_can_be_repaired(jobyard: Run, broker: JobyardBroker) -> None:
    key = broker.keys("sums")["policy"]
    broker.server.client().hset(key, mapping={"rate": "-1"})
    assert jobyard("job", "list").status == 0  # It has nothing to do with it.
    for words in (("queue", "list"), ("queue", "policy", "sums"), ("queue", "stats", "sums"), ("audit",)):
        said = jobyard(*words)
        assert (said.status, len(said.err.splitlines())) == (1, 1)
        assert "greater than 0" in said.err
    assert jobyard("queue", "policy", "sums", "--unset", "rate").status == 0
    assert jobyard("queue", "list").status == 0


def test_a_queue_that_is_new_must_be_said_to_be(jobyard: Run, broker: JobyardBroker) -> None:
    assert jobyard("queue", "policy", "later", "--set", "rate=5").status == 4
    assert jobyard("queue", "policy", "later", "--set", "rate=5", "--new").status == 0
    assert broker.inspector.stats("later").policy.rate == 5


def test_workers_are_listed(jobyard: Run, broker: JobyardBroker) -> None:
    for words in (("worker", "list"), ("workers",)):
        assert jobyard(*words, "-o", "json").json == []
        assert "No worker is there" in jobyard(*words).err


def test_a_worker_that_runs_is_listed_beside_the_verb_that_runs_one(
    jobyard: Run, broker: JobyardBroker, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(
        "import jobyard\n@jobyard.actor(queue_name='sums')\ndef add(a: int = 0) -> None: ...\n"
    )
    process = spawn(
        [sys.executable, "-m", "jobyard.cli", "worker", "app", "--processes", "1", "--threads", "3", "--probe-port", "0"],
        cwd=tmp_path, stderr=subprocess.DEVNULL,
        env={**os.environ, "JOBYARD_REDIS_URL": redis_url, "JOBYARD_NAMESPACE": broker.namespace},
    )  # fmt: skip
    try:
        [found] = eventually(lambda: jobyard("worker", "list", "-o", "json").json, 60, what="it is there")
        assert (found["queues"], found["actors"], found["threads"]) == (["sums"], ["add"], 3)
        said = jobyard("queue", "drain", "sums", "--timeout", "1m")
        assert (said.status, said.out) == (0, "sums is drained\n")
    finally:
        end(process, 30)
    eventually(lambda: jobyard("worker", "list", "-o", "json").json == [], 30, what="it is gone")


def test_a_worker_without_a_verb_is_one_that_runs(jobyard: Run) -> None:
    for words in (("worker", "--help"), ("worker", "run", "--help")):
        assert "Signals" in jobyard(*words).out
    assert jobyard("worker", "--processes", "0", "app").status == 2
    said = jobyard("worker")
    assert (said.status, "MODULE" in said.out + said.err) == (2, True)


# Draining -----------------------------------------------------------------------------------------------------------


def test_a_queue_that_is_not_drained_in_time_is_status_5(jobyard: Run) -> None:
    said = jobyard("queue", "drain", "sums", "--timeout", "50ms", "-o", "json")
    assert (said.status, said.json["drained"], said.json["queues"][0]["waiting"]) == (5, False, 1)
    assert "sums has 1 waiting, 0 active" in said.err


def test_a_paused_queue_with_waiting_jobs_is_not_waited_for(jobyard: Run) -> None:
    jobyard("queue", "pause", "sums")
    said = jobyard("queue", "drain", "sums")
    assert (said.status, "paused" in said.err) == (1, True)


def test_draining_ends_when_the_last_job_has_and_can_pause_the_queue(
    jobyard: Run, broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    started, release = threading.Event(), threading.Event()

    @dramatiq.actor(queue_name="sums", actor_name="add", broker=broker)
    def add() -> None:
        started.set()
        release.wait(20)

    add.send_with_options(delay=3_600_000)
    start_worker()
    assert started.wait(10)
    late = jobyard("queue", "drain", "sums", "--timeout", "10ms", "--pause-after")
    assert (late.status, broker.inspector.stats("sums").policy.paused) == (5, None)
    release.set()
    said = jobyard("queue", "drain", "sums", "--timeout", "1m", "--pause-after")
    assert (said.status, said.out) == (0, "sums is drained, and paused\n")
    assert broker.inspector.stats("sums").policy.paused
    # One is delayed still.
    assert jobyard("queue", "drain", "sums").status == 0
    assert jobyard("queue", "drain", "sums", "--delayed").status == 1


def test_an_audit_of_sound_ledgers_is_status_0(jobyard: Run) -> None:
    said = jobyard("audit", "-o", "json")
    assert (said.status, said.json["sound"]) == (0, True)
    assert "LOST" in jobyard("audit").out


@pytest.mark.unaudited("jobs are taken away behind the broker's back")
def test_an_audit_that_finds_a_loss_is_status_1(jobyard: Run, broker: JobyardBroker) -> None:
    broker.server.client().delete(broker.keys("sums")["ready"])
    said = jobyard("audit", "-o", "json")
    assert (said.status, said.json["sound"]) == (1, False)
    assert (said.json["queues"][0]["lost"], said.json["queues"][0]["orphaned"]) == (1, 1)
