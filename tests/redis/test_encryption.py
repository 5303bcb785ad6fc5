"""Encrypted jobs: nothing of a job's data is in Redis in clear, keys rotate, and a worker without the key burns nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.results import ResultFailure

from jobyard import log
from jobyard.broker import JobyardBroker
from jobyard.broker.filters import JobFilter
from jobyard.broker.key_ring import KeyRing
from jobyard.broker.protection import Protection
from jobyard.presentation import result_of
from jobyard.settings import BrokerSettings
from support.hand import Hand, message
from support.ledger import audit
from support.snapshot import snapshot
from support.waiting import eventually

MakeBroker = Callable[..., JobyardBroker]
SECRET = "xyzzy-4711"


def key(name: str) -> str:
    return f"{name}:{base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()}"


def encrypting(*names: str) -> Protection:
    return Protection(KeyRing.from_text(",".join(map(key, names)), "KEYS"))


@pytest.fixture
def broker(broker: JobyardBroker) -> JobyardBroker:
    """Encrypts with the key `a`."""
    broker.protection = encrypting("a")
    return broker


@pytest.fixture
def locked(broker: JobyardBroker, make_broker: MakeBroker, redis_url: str) -> JobyardBroker:
    """Another process on the same queues, without a key."""
    return make_broker(redis_url)


def test_what_a_job_logs_is_encrypted(
    broker: JobyardBroker, locked: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    @dramatiq.actor(queue_name="q")
    def talk(word: str) -> None:
        log(f"the word is {word}")

    start_worker()
    job_id = talk.send(SECRET).message_id
    eventually(lambda: broker.inspector.stats("q").completed == 1)
    (line,) = broker.inspector.logs(job_id)
    assert (line.message, line.logger, line.attempt) == (f"the word is {SECRET}", "jobyard.log", 1)
    assert SECRET.encode() not in broker.server.client().hget(broker.keys("q")["logs"], job_id)
    (line,) = locked.inspector.logs(job_id)
    assert "encrypted" in line.message


def test_a_job_runs_and_nothing_of_its_data_is_in_clear(
    broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    @dramatiq.actor(queue_name="q", max_retries=1, min_backoff=1, max_backoff=1, tags=["red"])
    def secret(word: str, *, also: str) -> str:
        if also == "fail":
            raise ValueError(f"no {word}")
        return word + also

    good = secret.send(SECRET, also="!")
    bad = secret.send_with_options(args=(SECRET,), kwargs={"also": "fail"}, note=SECRET)
    waiting = snapshot(broker)
    start_worker()
    assert good.get_result(block=True, timeout=20_000) == SECRET + "!"
    with pytest.raises(ResultFailure, match=SECRET):
        bad.get_result(block=True, timeout=20_000)
    for found in (waiting, snapshot(broker)):
        assert SECRET not in repr(found)
        assert "secret" in repr(found)  # The actor's name.
    job = broker.inspector.job(bad.message_id)
    assert job is not None
    assert (job.args, job.kwargs["also"], job.options["note"]) == ((SECRET,), "fail", SECRET)
    assert SECRET in job.errors[-1]["message"]
    assert "line" in job.errors[-1]["traceback"]
    assert (job.problem, job.encrypted) == (None, False)


def test_the_words_of_an_error_are_not_in_its_failure_group_either(
    broker: JobyardBroker, locked: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    worker = hand()
    for number in range(2):
        broker.enqueue(message("q", number))
        worker.bury(worker.fetch_one(), ValueError(f"no customer called Rumpelstiltskin in order {number}"))
    assert "Rumpelstiltskin" not in repr(snapshot(broker))
    (group,) = locked.failures.groups("q")
    assert (group.error, group.template, group.count, group.dead, group.actors) == ("ValueError", "", 2, 2, ("work",))
    (job, _) = broker.inspector.search(JobFilter(group=group.fingerprint)).jobs
    assert job.errors[-1]["template"] == "no customer called Rumpelstiltskin in order #"
    assert len(broker.inspector.search(JobFilter(text="1")).jobs) == 1, "with the key, arguments can be searched"
    assert locked.inspector.search(JobFilter(text="1")).jobs == []


def test_the_inspector_without_the_key_shows_what_operations_need(
    broker: JobyardBroker, locked: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id = send("q", SECRET, priority=7, tags=["red"])
    worker = hand()
    worker.done(worker.fetch_one(), encrypting("a").seal_result(b'"x"', "q", job_id))
    job = locked.inspector.job(job_id)
    assert job is not None
    assert job.encrypted
    assert "doesn't have" in (job.problem or "")
    assert (job.args, job.kwargs, job.tags, job.priority, job.actor) == (("(encrypted)",), {}, ("red",), 7, "work")
    assert job.created_at
    assert result_of(job) == (None, "encrypted: this process has no key for it")
    with pytest.raises(ResultFailure, match="no key"):
        locked.get_results_backend().get_result(message("q", job_id=job_id))
    assert locked.inspector.stats("q").lost == 0


def test_keys_rotate_without_a_moment_in_which_something_cant_be_read(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    old = send("q", 1)
    broker.protection = encrypting("b", "a")
    new = send("q", 2)
    assert [(one.message_id, one.args) for one in hand().fetch(2)] == [(old, (1,)), (new, (2,))]
    broker.protection = encrypting("b")
    jobs = {job.id: job.encrypted for job in broker.inspector.jobs_by_id("q", [old, new])}
    assert jobs == {old: True, new: False}


def test_plain_jobs_that_are_there_when_encryption_is_switched_on_still_run(
    locked: JobyardBroker, hand: Callable[..., Hand]
) -> None:
    locked.enqueue(message("q", 5))
    assert hand().fetch_one().args == (5,)


@pytest.mark.parametrize("moved", ["id", "queue", "actor", "priority", "changed", "cut"])
def test_a_ciphertext_that_was_moved_or_changed_is_never_run(
    broker: JobyardBroker, start_worker: Callable[..., Any], moved: str
) -> None:
    ran: list[Any] = []

    def run(*args: Any) -> None:
        ran.append(args)

    for name in ("work", "wark"):
        dramatiq.actor(actor_name=name, queue_name="q")(run)
    dramatiq.actor(actor_name="other", queue_name="r")(run)
    broker.pause("q")
    broker.pause("r")
    first, victim = (broker.enqueue(message("q", number)).message_id for number in (1, 2))
    in_r = broker.enqueue(message("r", 3)).message_id
    jobs, jobs_r = broker.keys("q")["jobs"], broker.keys("r")["jobs"]

    def get(name: str) -> bytes:
        found: bytes = broker.link.command(b"HGET", jobs, name, key=jobs)
        return found

    def put(data: bytes, name: str = victim, where: bytes = jobs) -> None:
        broker.link.command(b"HSET", where, name, data, key=where)

    forged = victim
    if moved == "id":
        put(get(first))
    elif moved == "queue":
        put(get(victim), in_r, jobs_r)
        forged = in_r
    elif moved == "actor":
        put(get(victim).replace(b'"work"', b'"wark"', 1))
    elif moved == "priority":
        put(b"*9 " + get(victim).partition(b" ")[2])
    elif moved == "changed":
        put(get(victim)[:-1] + bytes([get(victim)[-1] ^ 1]))
    else:
        put(get(victim).partition(b"\n")[0] + b"\n12345")
    assert broker.inspector.job(forged) is not None
    broker.resume("q")
    broker.resume("r")
    start_worker()
    eventually(lambda: broker.inspector.stats("q").dead + broker.inspector.stats("r").dead == 1)
    broker.join("q", timeout=20_000)
    broker.join("r", timeout=20_000)
    job = broker.inspector.job(forged)
    assert job is not None
    assert (job.state, job.errors[-1]["error"]) == ("dead", "EnvelopeRefusedError")
    assert len(ran) == 2
    with pytest.raises(ValueError, match="can't be edited"):
        broker.dead_letters.edit_and_retry(job.queue, forged, lambda args, kwargs: (args, kwargs))


def test_a_result_cant_be_moved_to_another_job(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    job_id, other = send(), send()
    worker = hand()
    assert broker.protection is not None
    for delivery in worker.fetch(2):
        worker.done(delivery, broker.protection.seal_result(b"1", "q", job_id))
    jobs = {job.id: job for job in broker.inspector.jobs_by_id("q", [job_id, other])}
    assert result_of(jobs[job_id]) == (1, None)
    assert result_of(jobs[other])[0] is None


def test_a_worker_without_the_key_puts_the_job_off_and_uses_no_attempt(
    broker: JobyardBroker, locked: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    ran: list[int] = []

    def act(*args: int) -> None:
        ran.extend(args)

    dramatiq.actor(actor_name="work", queue_name="q", broker=broker)(act)
    dramatiq.actor(actor_name="work", queue_name="q", broker=locked)(act)
    job_id = broker.enqueue(message("q", 5)).message_id
    without = start_worker(broker=locked)
    eventually(lambda: broker.inspector.stats("q").delayed == 1)
    without.stop(timeout=5000)
    job = broker.inspector.job(job_id)
    assert job is not None
    assert (job.attempts, job.errors, job.args) == (0, [], (5,))
    start_worker()
    broker.join("q", timeout=20_000)
    assert ran == [5]


def test_a_worker_whose_key_doesnt_come_buries_the_job_readable_once_it_has(
    broker: JobyardBroker, locked: JobyardBroker, start_worker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobyard.worker.runner.UNKNOWN_ACTOR_PATIENCE", 0)
    job_id = broker.enqueue(message("q", 5)).message_id
    start_worker(broker=locked, queues={"q"})
    job = eventually(lambda: next(iter(broker.inspector.jobs("q", "dead")), None))
    assert (job.id, job.args) == (job_id, (5,))
    assert job.errors[-1]["error"] == "KeyMissingError"
    assert "'a'" in job.errors[-1]["message"]
    with pytest.raises(ValueError, match="can't be edited"):
        locked.dead_letters.edit_and_retry("q", job_id, lambda args, kwargs: (args, kwargs))
    explained = broker.inspector.explain(job_id)
    assert explained.reason == "Unreadable"
    assert broker.dead_letters.edit_and_retry("q", job_id, lambda args, kwargs: ((6,), kwargs))
    assert SECRET not in repr(snapshot(broker))


def test_priority_delay_idempotency_and_ageing_work_on_encrypted_jobs(
    broker: JobyardBroker, hand: Callable[..., Hand], send: Callable[..., str]
) -> None:
    low, high = send("q", priority=50), send("q", priority=2, delay=1)
    first = send("q", 1, idempotency_key="k", priority=60)
    assert send("q", 1, idempotency_key="k", priority=60) == first
    worker = hand()
    due = broker.inspector.stats("q").next_due or 0
    eventually(lambda: broker.inspector.stats("q").now > due)
    found = worker.fetch(3)
    assert [one.message_id for one in found] == [high, low, first]
    assert [one.error for one in found] == [None] * 3
    worker.retry(found[0], 60_000)
    job = broker.inspector.job(high)
    assert job is not None
    assert (job.state, job.priority) == ("delayed", 2)
    audit(broker)


def test_a_pipeline_and_its_follow_up_are_encrypted_too(
    broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    @dramatiq.actor(queue_name="q")
    def join(*words: str) -> str:
        return "-".join(words)

    pipe = (join.message(SECRET) | join.message("b")).run()
    broker.pause("q")
    broker.resume("q")
    start_worker()
    assert pipe.get_result(block=True, timeout=20_000) == f"b-{SECRET}"
    assert SECRET not in repr(snapshot(broker))


def test_settings_make_the_keys(redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("JOBYARD_REDIS_URL", redis_url)
    assert BrokerSettings().make_broker().protection is None
    monkeypatch.setenv("JOBYARD_ENCRYPTION_KEYS", key("a"))
    made = BrokerSettings().make_broker().protection
    assert made is not None
    assert not made.refuses_plain
    assert key("a").partition(":")[2] not in repr(BrokerSettings())
    file = tmp_path / "keys"
    file.write_text(key("s"))
    monkeypatch.setenv("JOBYARD_SIGNING_KEYS_FILE", str(file))
    made = BrokerSettings().make_broker().protection
    assert made is not None
    assert made.refuses_plain
    monkeypatch.setenv("JOBYARD_SIGNING_KEYS", key("s"))
    with pytest.raises(ValueError, match="not both"):
        BrokerSettings().make_broker()
