"""What the operator does in Redis when the pod of a worker is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from jobyard.broker import JobyardBroker, keys
from jobyard.broker.caller import pod_prefix, started_at, worker_token
from jobyard.broker.workers import Announcement, Register, list_workers
from jobyard_operator.redis.pods import Cause, Fenced, fence_pod, pods
from support.hand import Hand, look_up, message
from support.snapshot import snapshot

OOM = Cause(
    kind="OOMKilled",
    message="container worker used more than its memory limit",
    counts_attempt=True,
    exit_code=137,
    node="node-1",
    image="shop:1.4",
)
EVICTED = Cause(kind="Evicted", message="the node was low on memory", counts_attempt=False, node="node-1")

InPod = Callable[..., Hand]


@pytest.fixture
def in_pod(hand: Callable[..., Hand], monkeypatch: pytest.MonkeyPatch) -> InPod:
    """Makes workers in pods: `in_pod("mail-1", "queue")`."""

    def make(pod: str, *queues: str) -> Hand:
        monkeypatch.setenv("JOBYARD_POD_NAME", pod)
        return hand(*queues)

    return make


def announce(worker: Hand, pod: str | None, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "name": f"{pod}/7", "pod": pod, "queues": worker.dispatcher.queues, "actors": [], "threads": 4, "running": [],
        "draining": False, "completed": 0, "failed": 0, "started_at": started_at(worker.token) or 0, "version": "1",
    }  # fmt: skip
    register = Register(worker.broker, worker.token)
    register.announce(Announcement(**{**fields, **changes}))
    register.close()


# Tokens ------------------------------------------------------------------------------------------------------------


def test_the_token_of_a_worker_in_a_pod_says_which_pod_and_when_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBYARD_POD_NAME", "m" * 253)
    before = int(time.time() * 1000)
    token = worker_token()
    assert token.startswith(pod_prefix("m" * 253))
    started = started_at(token)
    assert started is not None
    assert before <= started <= time.time() * 1000
    assert len(token) == 26
    assert worker_token() != token


def test_elsewhere_a_token_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBYARD_POD_NAME", raising=False)
    token = worker_token()
    assert len(token) == 12
    assert started_at(token) is None
    assert started_at("a.b.!.c") is None
    assert started_at("a.!.c") is None


# The register ------------------------------------------------------------------------------------------------------


def test_what_the_processes_of_a_pod_say_is_added_up(broker: JobyardBroker, in_pod: InPod) -> None:
    assert pods(broker) == {}
    first, second, other = in_pod("mail-1", "q"), in_pod("mail-1", "q", "r"), in_pod("mail-2", "q")
    announce(first, "mail-1", running=["a", "b"], started_at=1_700_000_000_000)
    announce(second, "mail-1", running=["c"], draining=True, started_at=1_700_000_001_500)
    announce(other, "mail-2", draining=True)
    announce(in_pod("", "q"), None)
    found = pods(broker)
    assert found.keys() == {"mail-1", "mail-2"}
    one = found["mail-1"]
    assert set(one.tokens) == {first.token, second.token}
    assert (one.threads, one.running, one.draining, one.queues) == (8, 3, False, {"q", "r"})
    assert (one.oldest, one.newest) == (1_700_000_000.0, 1_700_000_001.5)
    assert found["mail-2"].draining


# Fencing -----------------------------------------------------------------------------------------------------------


def test_the_jobs_of_a_dead_pod_run_again_at_once_in_all_queues_and_the_cause_is_kept(
    broker: JobyardBroker, in_pod: InPod, send: Callable[..., str]
) -> None:
    first, second, other = in_pod("mail-1", "q", "r"), in_pod("mail-1", "q"), in_pod("mail-10", "q")
    ids = [send("r"), send("q"), send("q")]
    held = [*first.fetch(2), *second.fetch(1)]
    theirs = send("q")
    other.fetch_one()
    announce(first, "mail-1")
    announce(other, "mail-10")

    assert fence_pod(broker, "mail-1", OOM) == Fenced(2, 3)

    for job_id in ids:
        job = look_up(broker, job_id)
        assert (job.state, job.attempts) == ("waiting", 1)
        (error,) = job.errors
        ended, started = error.pop("ended_at"), error.pop("started_at")
        assert 0 < started <= ended
        assert error == {
            "attempt": 1, "group": "OOMKilled", "error": "OOMKilled", "pod": "mail-1", "worker": "mail-1",
            "message": "container worker used more than its memory limit", "node": "node-1", "image": "shop:1.4",
            "exit_code": 137,
        }  # fmt: skip
    assert look_up(broker, theirs).worker == other.token
    assert [one.pod for one in list_workers(broker)] == ["mail-10"]
    (group,) = broker.failures.groups("q")
    assert (group.fingerprint, group.count, group.image) == ("OOMKilled", 2, "shop:1.4")
    assert len(held) == 3
    assert set(other.ids(3)) == {ids[1], ids[2]}


def test_fencing_again_does_nothing(broker: JobyardBroker, in_pod: InPod, send: Callable[..., str]) -> None:
    worker = in_pod("mail-1")
    send()
    worker.fetch_one()
    announce(worker, "mail-1")
    fence_pod(broker, "mail-1", OOM)
    before = snapshot(broker)
    assert fence_pod(broker, "mail-1", OOM) == Fenced(0, 0)
    assert snapshot(broker) == before


def test_a_pod_that_never_announced_itself_is_fenced_all_the_same(
    broker: JobyardBroker, in_pod: InPod, send: Callable[..., str]
) -> None:
    worker = in_pod("mail-1")
    job_id = send()
    worker.fetch_one()
    assert list_workers(broker) == []
    assert fence_pod(broker, "mail-1", OOM) == Fenced(1, 1)
    assert look_up(broker, job_id).state == "waiting"


def test_an_entry_of_a_dead_pod_that_has_run_out_goes_too(broker: JobyardBroker, in_pod: InPod) -> None:
    worker = in_pod("mail-1")
    client, register = broker.server.client(), keys.workers(broker.namespace)
    client.hset(register, mapping={worker.token: "1 {}", "strange": "no time"})
    assert fence_pod(broker, "mail-1", OOM) == Fenced(1, 0)
    assert client.hkeys(register) == [b"strange"]


def test_what_costs_no_attempt_puts_jobs_back_to_their_place_and_keeps_the_cause(
    broker: JobyardBroker, in_pod: InPod, send: Callable[..., str]
) -> None:
    worker = in_pod("mail-1")
    ids = [send(), send(), send()]
    worker.fetch(2)
    assert fence_pod(broker, "mail-1", EVICTED) == Fenced(1, 2)
    job = look_up(broker, ids[0])
    assert (job.state, job.attempts, job.position) == ("waiting", 0, 0)
    assert [(error["attempt"], error["error"], error["node"]) for error in job.errors] == [(1, "Evicted", "node-1")]
    assert broker.failures.groups("q") == []
    again = worker.fetch(3)
    assert [(one.message_id, one.attempt) for one in again] == [(job_id, 1) for job_id in ids]


def test_a_fenced_worker_that_lives_on_can_deliver_nothing(
    broker: JobyardBroker, in_pod: InPod, send: Callable[..., str]
) -> None:
    lost, other = in_pod("mail-1"), in_pod("mail-2")
    ids = [send(), send()]
    first, second = lost.fetch(2)
    fence_pod(broker, "mail-1", EVICTED)
    assert lost.done(first, b"1").stale == 1
    other.done(other.fetch_one(), b"2")
    assert lost.bury(second).stale == 1
    assert lost.renew() == ([], [])
    job = look_up(broker, ids[0])
    assert (job.state, job.encoded_result) == ("completed", b"2")
    assert look_up(broker, ids[1]).state == "waiting"


def test_a_restarted_container_keeps_what_its_new_processes_have(
    broker: JobyardBroker, in_pod: InPod, send: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: moment)
    old = in_pod("mail-1")
    monkeypatch.setattr(time, "time", lambda: moment + 2)
    new = in_pod("mail-1")
    monkeypatch.undo()
    before, after = send(), send()
    old.fetch_one()
    new.fetch_one()
    announce(old, "mail-1")
    announce(new, "mail-1")
    assert fence_pod(broker, "mail-1", OOM, started_before=moment) == Fenced(0, 0)
    assert fence_pod(broker, "mail-1", OOM, started_before=moment + 2) == Fenced(1, 1)
    assert look_up(broker, before).state == "waiting"
    assert look_up(broker, after).worker == new.token
    assert [one.token for one in list_workers(broker)] == [new.token]


def test_a_job_that_was_asked_to_stop_stops(broker: JobyardBroker, in_pod: InPod, send: Callable[..., str]) -> None:
    worker = in_pod("mail-1")
    ids = [send(), send()]
    worker.fetch(2)
    for job_id in ids:
        broker.cancel(job_id)
    fence_pod(broker, "mail-1", EVICTED)
    assert [look_up(broker, job_id).state for job_id in ids] == ["cancelled", "cancelled"]


def test_a_job_that_kills_its_pods_waits_longer_each_time(
    broker: JobyardBroker, in_pod: InPod, send: Callable[..., str]
) -> None:
    job_id = send()
    in_pod("mail-1").fetch_one()
    fence_pod(broker, "mail-1", OOM)
    in_pod("mail-2").fetch_one()
    fence_pod(broker, "mail-2", OOM)
    job = look_up(broker, job_id)
    assert (job.state, job.attempts) == ("delayed", 2)
    found = broker.inspector.explain(job_id)
    assert found.reason == "Recovered"
    assert "OOMKilled" in found.sentence


def test_thousands_of_jobs_go_back(broker: JobyardBroker, in_pod: InPod) -> None:
    broker.enqueue_many(message("q") for _ in range(2500))
    worker = in_pod("mail-1")
    held = 0
    while held < 2500:
        held += len(worker.fetch(1000))
    assert fence_pod(broker, "mail-1", EVICTED, queues=["q"]) == Fenced(1, 2500)
    assert broker.inspector.stats("q").waiting == 2500
