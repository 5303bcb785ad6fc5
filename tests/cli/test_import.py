"""`jobyard import …`: real producers of Dramatiq, Celery and RQ, each job counted on both sides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.inspector import Job
from jobyard.migrate.celery_queue import _Waiting
from jobyard.migrate.mover import Mover
from jobyard.migrate.places import IdPlace
from support.servers import Server

Run = Callable[..., Any]
Sent = dict[str, list[str]]

_PRODUCERS = Path(__file__).parent / "producers"


def _produce(system: str, url: str, name: str, count: int = 0) -> Sent:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", _PRODUCERS / f"with_{system}.py", url, name, str(count)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sent: Sent = json.loads(done.stdout.splitlines()[-1])
    return sent


@pytest.fixture
def name() -> str:
    """Of the other system's keys, since tests share a server."""
    return f"old{uuid.uuid4().hex[:10]}"


@pytest.fixture
def ours(broker: JobyardBroker) -> Callable[..., Job]:
    """A job that is in our queue."""

    def find(job_id: str, queue: str = "emails") -> Job:
        found = broker.inspector.job(job_id, queue=queue)
        assert found is not None
        return found

    return find


def _reasons(report: Any) -> dict[str, int]:
    return {one["reason"]: one["count"] for one in report["skipped"]}


def _adds_up(report: Any) -> bool:
    there = report["source"]
    gone = sum(there["before"].values()) - there["left"]
    here = report["moved"] + report["already_there"]
    skipped = sum(_reasons(report).values())
    return bool(report["found"] == here + skipped and gone == here and there["left"] == skipped)


# Dramatiq ----------------------------------------------------------------------------------------------------------


def test_a_queue_of_dramatiq_is_drained(jobyard: Run, ours: Callable[..., Job], redis_url: str, name: str) -> None:
    sent = _produce("dramatiq", redis_url, name)
    words = ("import", "dramatiq", "--from", redis_url, "--prefix", name, "--queue", "emails", "-o", "json")
    tried = jobyard(*words, "--dry-run").json
    said = jobyard(*words, "--map", "send=send_email")
    report = said.json
    assert (said.status, _adds_up(report)) == (1, True)
    assert (tried["moved"], tried["source"]["left"]) == (report["moved"], sum(report["source"]["before"].values()))
    assert (report["moved"], report["accepted"]) == (11, 11)
    assert sorted(count for reason, count in _reasons(report).items()) == [1, 1, 2]
    for number, job_id in enumerate(sent["waiting"][:5]):
        job = ours(job_id)
        assert (job.state, job.actor, job.args, job.kwargs) == (
            "waiting",
            "send_email",
            (number,),
            {"subject": "größer"},
        )
        assert "redis_message_id" not in job.options
    assert ours(sent["waiting"][5]).options["pipe_target"]["args"] == [8]
    for job_id in sent["delayed"]:
        job = ours(job_id)
        assert job.state == "delayed"
        assert abs((job.due_at or 0) / 1000 - time.time() - 3600) < 300
    # Sent twice there: two jobs here.
    assert ours(sent["twice"][0]).args == (30,)
    rest = jobyard(*words, "--in-flight", "--dead-letters", "--without", "group")
    assert (rest.status, rest.json["moved"], rest.json["source"]["left"], _adds_up(rest.json)) == (0, 4, 0, True)
    assert ours(sent["taken"][0]).kwargs == {"subject": "taken"}
    assert (ours(sent["dead"][0]).actor, ours(sent["dead"][0]).state) == ("fail", "waiting")


def test_what_a_dead_worker_of_dramatiq_had_taken_is_moved_too(
    jobyard: Run, ours: Callable[..., Job], server: Server, name: str
) -> None:
    sent = _produce("dramatiq", server.url, name)
    with server.client() as client:
        workers = client.zrange(f"{name}:__heartbeats__", 0, -1)
        client.zadd(f"{name}:__heartbeats__", dict.fromkeys(workers, (time.time() - 61) * 1000))
    jobyard("import", "dramatiq", "--from", server.url, "--prefix", name, "--queue", "emails")
    assert ours(sent["taken"][0]).state == "waiting"


# Celery ------------------------------------------------------------------------------------------------------------


def test_a_queue_of_celery_is_drained(jobyard: Run, ours: Callable[..., Job], redis_url: str, name: str) -> None:
    sent = _produce("celery", redis_url, name)
    words = ("import", "celery", "--from", redis_url, "--prefix", name, "--queue", "emails", "-o", "json")
    said = jobyard(*words, "--map", "shop.send=send_email")
    report = said.json
    assert (said.status, _adds_up(report), report["moved"], report["accepted"]) == (1, True, 12, 12)
    reasons = " / ".join(_reasons(report))
    for word in ("pickle could run code", "datetime", "callbacks", "chain", "chord", "group", "in flight"):
        assert word in reasons
    for number, job_id in enumerate(sent["waiting"]):
        job = ours(job_id)
        assert (job.state, job.actor, job.args, job.kwargs) == (
            "waiting",
            "send_email",
            (number,),
            {"subject": "größer"},
        )
    levels = [ours(job_id).priority for job_id in [sent["waiting"][0], *sent["urgent last"]]]
    assert levels == [5, 14, 8, 11]
    assert ours(sent["compressed"][0]).args == (20,)
    assert ours(sent["limited"][0]).options["time_limit"] == 30_000
    due = ours(sent["delayed"][0])
    assert (due.state, abs((due.due_at or 0) / 1000 - time.time() - 3600) < 300) == ("delayed", True)
    assert 3_300_000 < ours(sent["expiring"][0]).options["expires"] <= 3_600_000
    rest = jobyard(*words, "--in-flight", "--without", "group").json
    assert (rest["moved"], _adds_up(rest)) == (3, True)
    assert ours(sent["taken"][0]).actor == "shop.send"
    assert {ours(one).state for one in sent["grouped"]} == {"waiting"}


# RQ ----------------------------------------------------------------------------------------------------------------


def test_a_queue_of_rq_is_drained(jobyard: Run, ours: Callable[..., Job], redis_url: str, name: str) -> None:
    sent = _produce("rq", redis_url, name)
    words = ("import", "rq", "--from", redis_url, "--queue", name, "--to-queue", "emails", "-o", "json")
    said = jobyard(*words, "--map", "shop.send=send_email")
    report = said.json
    assert (said.status, _adds_up(report), report["moved"], report["accepted"]) == (1, True, 5, 5)
    reasons = " / ".join(_reasons(report))
    for word in ("pickle", "meta data", "wait for it", "callbacks", "deferred", "in flight", "dead letters"):
        assert word in reasons
    for kind in ("pickled", "json"):
        job = ours(sent[kind][0])
        arguments = (1, -2, 3.5, "größer", None, True, [1, [2]], {"a": {"b": False}}, 2**70)
        assert (job.state, job.actor, job.args, job.kwargs) == ("waiting", "send_email", arguments, {"subject": "x"})
    assert ours(sent["pickled"][0]).options["time_limit"] == 30_000
    assert ours(sent["retried"][0]).options["max_retries"] == 2
    assert 3_300_000 < ours(sent["expiring"][0]).options["expires"] <= 3_600_000
    due = ours(sent["delayed"][0])
    assert (due.state, abs((due.due_at or 0) / 1000 - time.time() - 3600) < 300) == ("delayed", True)
    rest = jobyard(*words, "--in-flight", "--dead-letters", "--without", "meta").json
    assert (rest["moved"], _adds_up(rest)) == (3, True)
    assert (ours(sent["taken"][0]).args, ours(sent["meta"][0]).args) == ((1,), (6,))
    assert ours(sent["dead"][0]).actor == "shop.no_such"


# All of them -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["dramatiq", "celery", "rq"])
def test_killed_again_and_again_it_moves_every_job_once(
    jobyard: Run, broker: JobyardBroker, redis_url: str, name: str, system: str
) -> None:
    queue = name if system == "rq" else "emails"
    prefix = () if system == "rq" else ("--prefix", name)
    sent = _produce(system, redis_url, name, 1500)["waiting"]
    words = ("import", system, "--from", redis_url, "--queue", queue, *prefix, "--to-queue", "emails")
    environment = {**os.environ, "JOBYARD_REDIS_URL": redis_url, "JOBYARD_NAMESPACE": broker.namespace}

    def arrived() -> int:
        return broker.inspector.stats("emails").counts.get("accepted", 0)

    kills = 0
    while kills < 3:
        before = arrived()
        process = subprocess.Popen(
            [sys.executable, "-m", "jobyard.cli", *words], env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while arrived() == before and process.poll() is None:
                pass
        finally:
            process.kill()
            process.wait()
        kills += 1
    said = jobyard(*words, "-o", "json")
    assert (said.status, said.json["source"]["left"]) == (0, 0)
    listed = [
        job.id
        for offset in range(0, 3000, 500)
        for job in broker.inspector.jobs("emails", "waiting", offset=offset, limit=500)
    ]
    assert Counter(listed) == Counter(sent)
    assert arrived() == len(sent)
    assert jobyard(*words, "-o", "json").json["found"] == 0


@pytest.mark.parametrize("system", ["dramatiq", "celery", "rq"])
def test_what_was_handed_in_before_a_kill_is_known_and_taken_out(
    jobyard: Run, broker: JobyardBroker, redis_url: str, name: str, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def die(*_: Any) -> int:
        raise KilledError

    queue = name if system == "rq" else "emails"
    prefix = () if system == "rq" else ("--prefix", name)
    sent = _produce(system, redis_url, name, 10)["waiting"]
    words = ("import", system, "--from", redis_url, "--queue", queue, *prefix, "--to-queue", "emails", "-o", "json")
    with monkeypatch.context() as patch:
        for kind in (IdPlace, _Waiting):
            patch.setattr(kind, "remove", die)
        with pytest.raises(KilledError):
            jobyard(*words)
    assert broker.inspector.stats("emails").waiting == 10
    said = jobyard(*words)
    report = said.json
    assert (said.status, report["moved"], report["already_there"], report["accepted"]) == (0, 0, len(sent), 0)
    assert _adds_up(report)


def test_what_a_worker_took_while_it_was_moved_is_told(
    jobyard: Run, broker: JobyardBroker, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _produce("dramatiq", server.url, name, 3)
    hand_in = Mover._hand_in

    def while_a_worker_takes_one(mover: Mover, entries: Any) -> Any:
        done = hand_in(mover, entries)
        with server.client() as client:
            client.lpop(f"{name}:emails")
        return done

    monkeypatch.setattr(Mover, "_hand_in", while_a_worker_takes_one)
    words = ("import", "dramatiq", "--from", server.url, "--prefix", name, "--queue", "emails")
    said = jobyard(*words, "-o", "json")
    assert (said.status, said.json["moved"], said.json["taken_meanwhile"]) == (1, 3, 1)
    assert broker.inspector.stats("emails").waiting == 3


def test_a_limit_holds_and_the_next_run_goes_on(jobyard: Run, redis_url: str, name: str) -> None:
    _produce("rq", redis_url, name, 10)
    words = ("import", "rq", "--from", redis_url, "--queue", name, "-o", "json")
    assert (jobyard(*words, "--limit", "4").json["moved"], jobyard(*words).json["moved"]) == (4, 6)


def test_what_our_queue_can_not_have_stays_and_the_others_move(jobyard: Run, server: Server, name: str) -> None:
    _produce("dramatiq", server.url, name, 3)
    with server.client() as client:
        [first, second, *_] = client.lrange(f"{name}:emails", 0, -1)
        message = json.loads(client.hget(f"{name}:emails.msgs", second))
        client.hset(f"{name}:emails.msgs", second, json.dumps({**message, "options": {"deadline": 1}}))
        message = json.loads(client.hget(f"{name}:emails.msgs", first))
        client.hset(f"{name}:emails.msgs", first, json.dumps({**message, "message_id": "x" * 300}))
        client.rpush(f"{name}:emails", "gone", "odd")
        client.hset(f"{name}:emails.msgs", "odd", b"\x80\x04N.")
    said = jobyard("import", "dramatiq", "--from", server.url, "--prefix", name, "--queue", "emails", "-o", "json")
    assert (said.status, said.json["moved"], said.json["source"]["left"], _adds_up(said.json)) == (1, 1, 4, True)
    table = jobyard("import", "dramatiq", "--from", server.url, "--prefix", name, "--queue", "emails").out
    assert "WHY THEY STAY" in table
    assert "encoder of its own" in table
    assert "'deadline' means something else" in table
    assert "its message is gone" in table


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (("--from", "http://x", "--queue", "a"), 2, "--from"),
        (("--from", "redis://:hush@127.0.0.1:1/0", "--queue", "a"), 3, "127.0.0.1:1"),
        (("--from", "redis://127.0.0.1:1/0", "--queue", "a b"), 2, "--to-queue"),
        (("--from", "redis://127.0.0.1:1/0", "--queue", "a", "--map", "x"), 2, "TASK=ACTOR"),
        (("--from", "redis://127.0.0.1:1/0", "--queue", "a", "--without", "work"), 2, "group or meta"),
    ],
)
def test_what_can_not_be_is_one_sentence(jobyard: Run, words: tuple[str, ...], status: int, reason: str) -> None:
    said = jobyard("import", "dramatiq", *words)
    assert (said.status, len(said.err.splitlines())) == (status, 1)
    assert reason in said.err
    assert "hush" not in said.err


def test_a_queue_that_is_empty_or_mistyped_is_said_to_be(jobyard: Run, redis_url: str) -> None:
    said = jobyard("import", "rq", "--from", redis_url, "--queue", "nothing")
    assert (said.status, "is that its name" in said.err) == (0, True)
