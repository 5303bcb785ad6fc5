"""`jobyard job …` and `jobyard enqueue`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest

from jobyard.broker import JobyardBroker
from jobyard.broker.dispatcher import Dispatcher
from jobyard_operator.redis.pods import Cause, fence_pod
from support.waiting import eventually

Run = Callable[..., Any]


def test_a_job_is_sent_without_the_code_of_its_actor_and_runs(
    jobyard: Run, broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    sent = jobyard("enqueue", "add", "--queue", "sums", "--args", "[1]", "--kwargs", '{"b": 2}', "--priority", "high")
    assert (sent.status, "No worker is there" in sent.err) == (0, True)
    job_id = sent.out.strip()
    job = broker.inspector.job(job_id, queue="sums")
    assert job is not None
    assert (job.actor, job.args, job.kwargs, job.priority, job.state) == ("add", (1,), {"b": 2}, 2, "waiting")

    @dramatiq.actor(queue_name="sums", actor_name="add", broker=broker, store_results=True)
    def add(a: int, b: int) -> int:
        return a + b

    start_worker()
    ended = jobyard("job", "wait", job_id, "--timeout", "20s", "-o", "json")
    assert ended.status == 0
    assert (ended.json["state"], ended.json["result"]) == ("completed", 3)


def test_a_delayed_job_says_when_it_is_due(jobyard: Run) -> None:
    job_id = jobyard("enqueue", "add", "--delay", "1h30m").out.strip()
    shown = jobyard("job", "show", job_id, "-o", "json").json
    assert shown["state"] == "delayed"
    assert shown["due_at"].endswith("Z")
    assert "in 1h 29m" in jobyard("job", "show", job_id).out


def test_tags_deadline_and_dependency_are_asked_for(jobyard: Run, broker: JobyardBroker) -> None:
    words = ("--tag", "nightly", "--tag", "acme", "--deadline", "6h", "--dependency", "smtp", "--expires", "1h")
    job_id = jobyard("enqueue", "add", *words).out.strip()
    job = broker.inspector.job(job_id)
    assert job is not None
    wanted = {"tags": ["nightly", "acme"], "deadline": 21_600_000, "dependency": "smtp", "expires": 3_600_000}
    assert job.options == wanted
    assert [one["job_id"] for one in jobyard("job", "list", "--tag", "acme", "-o", "json").json] == [job_id]
    said = jobyard("enqueue", "add", "--tag", "x" * 100)
    assert (said.status, len(said.err.splitlines())) == (2, 1)


def test_a_unique_job_is_sent_once(jobyard: Run) -> None:
    first = jobyard("enqueue", "add", "--unique", "one", "-o", "json").json
    second = jobyard("enqueue", "add", "--unique", "one", "-o", "json").json
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["job_id"] == second["job_id"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--args", "{}"), "--args is a JSON array"),
        (("--kwargs", "[1"), "--kwargs is not JSON"),
        (("--args", "[" * 100_000), "--args is not JSON"),
        (("--delay", "5"), "no length of time"),
        (("--priority", "urgent"), "critical, high, normal, low"),
        (("--queue", "a b"), "can't be a queue's name"),
        (("--debounce",), "--unique KEY, which is missing"),
    ],
)
def test_a_job_that_can_not_be_is_refused_with_the_reason(jobyard: Run, words: tuple[str, ...], reason: str) -> None:
    said = jobyard("enqueue", "add", *words, env={"COLUMNS": "300"})
    assert said.status == 2
    assert reason in said.err


def test_a_list_holds_what_fits_in_the_order_in_which_it_happens(jobyard: Run) -> None:
    waiting = [jobyard("enqueue", "add", "--queue", "sums").out.strip() for _ in range(3)]
    jobyard("enqueue", "other", "--queue", "sums", "--delay", "1h")
    jobyard("enqueue", "add", "--queue", "elsewhere")
    listed = jobyard("job", "list", "--queue", "sums", "--actor", "add", "--state", "waiting", "-o", "json").json
    assert [job["job_id"] for job in listed] == waiting
    everything = jobyard("job", "list", "-o", "json").json
    assert len(everything) == 5
    limited = jobyard("job", "list", "--limit", "2")
    assert "more than these 2" in limited.err
    assert len(limited.out.splitlines()) == 3


def test_a_waiting_job_is_cancelled_and_an_ended_one_is_not(jobyard: Run, broker: JobyardBroker) -> None:
    job_id = jobyard("enqueue", "add").out.strip()
    assert jobyard("job", "cancel", job_id).status == 0
    job = broker.inspector.job(job_id)
    assert job is not None
    assert job.state == "cancelled"
    again = jobyard("job", "cancel", job_id)
    assert (again.status, "it is cancelled" in again.out) == (1, True)
    assert jobyard("job", "wait", job_id).status == 1


def test_a_running_job_is_asked_to_stop(jobyard: Run, broker: JobyardBroker, start_worker: Callable[..., Any]) -> None:
    started, release = threading.Event(), threading.Event()

    @dramatiq.actor(queue_name="long", broker=broker)
    def hold() -> None:
        started.set()
        while not release.wait(0.01):
            pass

    start_worker()
    job_id = hold.send().message_id
    try:
        assert started.wait(10)
        assert "asked to stop" in jobyard("job", "cancel", job_id).out
        assert jobyard("job", "wait", job_id, "--timeout", "20s").status == 1
    finally:
        release.set()
    assert jobyard("job", "show", job_id, "-o", "json").json["state"] == "cancelled"


def test_a_parked_job_is_listed_shown_and_cancelled(
    jobyard: Run, broker: JobyardBroker, start_worker: Callable[..., Any]
) -> None:
    started, release = threading.Event(), threading.Event()

    @dramatiq.actor(queue_name="long", broker=broker)
    def hold() -> None:
        started.set()
        release.wait(20)

    jobyard("queue", "policy", "long", "--new", "--set", "key_concurrency=1")
    start_worker(threads=2)
    first = jobyard("enqueue", "hold", "--queue", "long", "--key", "acme").out.strip()
    try:
        assert started.wait(10)
        second = jobyard("enqueue", "hold", "--queue", "long", "--key", "acme").out.strip()
        eventually(lambda: broker.inspector.stats("long").parked == 1, what="it is parked")
        listed = jobyard("job", "list", "--queue", "long", "-o", "json").json
        assert [(job["job_id"], job["state"]) for job in listed] == [(first, "active"), (second, "parked")]
        assert "parked" in jobyard("job", "show", second).out
        assert jobyard("job", "cancel", second).status == 0
    finally:
        release.set()
    assert jobyard("job", "wait", first, "--timeout", "20s").status == 0


def test_waiting_ends_in_time(jobyard: Run) -> None:
    job_id = jobyard("enqueue", "add").out.strip()
    said = jobyard("job", "wait", job_id, "--timeout", "100ms")
    assert (said.status, "is still waiting" in said.err) == (5, True)


@pytest.mark.parametrize("verb", ["show", "cancel", "retry", "wait"])
def test_an_unknown_job_is_one_sentence(jobyard: Run, verb: str) -> None:
    jobyard("enqueue", "add")
    for job_id in ("nothing", "\x1b[2J", "\udc80"):
        said = jobyard("job", verb, job_id)
        assert said.status == 4
        assert "no longer kept" in said.out + said.err
        assert "\x1b" not in said.out + said.err


def test_an_unknown_queue_is_one_sentence(jobyard: Run) -> None:
    job_id = jobyard("enqueue", "add").out.strip()
    said = jobyard("job", "show", job_id, "--queue", "nowhere")
    assert (said.status, said.err) == (4, "jobyard: no queue is called 'nowhere': there are default\n")


def test_a_dead_letter_is_tried_again_and_another_job_is_not(jobyard: Run, bury: Callable[..., list[str]]) -> None:
    [dead] = bury("no such user", 1)
    waiting = jobyard("enqueue", "add").out.strip()
    said = jobyard("job", "retry", dead, waiting, "-o", "json")
    assert said.status == 1
    assert [row["done"] for row in said.json] == [True, False]
    assert jobyard("job", "show", dead, "-o", "json").json["state"] == "waiting"


def test_arguments_and_errors_can_not_speak_to_the_terminal(jobyard: Run, bury: Callable[..., list[str]]) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e[red]x[/red]\r"
    [job_id] = bury(evil, evil)
    for words in (("job", "show", job_id), ("job", "list"), ("dead", "list"), ("dead", "show", job_id)):
        for form in ("table", "json", "yaml"):
            said = jobyard(*words, "-o", form).out
            assert not set(said) & set("\x1b\x07\x9b\u202e\r")
            assert "[red]x[/red]" in said
    assert jobyard("job", "show", job_id, "-o", "json").json["args"] == [evil, evil]


def test_what_became_of_the_worker_of_an_attempt_is_shown(
    jobyard: Run, broker: JobyardBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = jobyard("enqueue", "add", "--queue", "sums").out.strip()
    monkeypatch.setenv("JOBYARD_POD_NAME", "sums-1")
    worker = Dispatcher(broker, ["sums"], 1)
    assert worker.fetch().deliveries
    worker.close()
    cause = Cause(
        kind="OOMKilled", message="too large", counts_attempt=True, exit_code=137, node="node-1", image="shop:1.4"
    )
    fence_pod(broker, "sums-1", cause)
    shown = jobyard("job", "show", job_id).out
    assert "Attempt 1: OOMKilled: too large" in shown
    assert "worker sums-1, image shop:1.4, node node-1, exit code 137" in shown
