"""What Prometheus reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobyard.broker import JobyardBroker
from jobyard.worker.messages import QueueFigures, Report
from jobyard.worker.metric_names import Metric
from jobyard.worker.metrics import Books, Snapshot, exposition
from jobyard.worker.tally import BUCKETS, Tally
from support.waiting import eventually
from worker.process import WorkerProcess

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "worker.md"


def report(tally: Tally, busy: int = 0) -> Report:
    outcomes = [(*key, count) for key, count in tally.outcomes.items()]
    durations = [(*key, counts) for key, counts in tally.durations.items()]
    return Report(busy, True, None, 2**20, outcomes, durations, tally.stale, tally.evicted)


def tally(*runs: tuple[str, str, str, float], stale: int = 0) -> Tally:
    made = Tally()
    for run in runs:
        made.ended(*run)
    made.stale = stale
    return made


def samples(books: Books, queues: list[QueueFigures] | None = None) -> dict[tuple[str, tuple[str, ...]], float]:
    text = exposition(
        Snapshot(
            books=books, wanted=2, processes={"starting": 0, "ready": 2, "draining": 0}, busy=1, idle=15,
            memory={"17": 2**20}, restarts={"crash": 1}, recovered=3, queues=queues,
        )
    )  # fmt: skip
    # Labels in the order in which we declare them.
    order = ("queue", "actor", "outcome", "state", "process", "reason", "dependency", "le")
    return {
        (sample.name, tuple(sample.labels[name] for name in order if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counts_of_all_processes_are_added_up() -> None:
    books = Books()
    books.add(report(tally(("mail", "send", "completed", 0.002), ("mail", "send", "retry", 0.002), stale=1)))
    books.add(report(tally(("mail", "send", "completed", 2.0), ("mail", "other", "dead", 2000.0), stale=2)))
    found = samples(books)
    assert found["jobyard_jobs_ended_total", ("mail", "send", "completed")] == 2
    assert found["jobyard_jobs_ended_total", ("mail", "send", "retry")] == 1
    assert found["jobyard_jobs_stale_total", ()] == 3
    assert found["jobyard_job_duration_seconds_count", ("mail", "send")] == 3
    assert found["jobyard_job_duration_seconds_sum", ("mail", "send")] == pytest.approx(2.004)
    assert found["jobyard_job_duration_seconds_bucket", ("mail", "send", "0.001")] == 0
    assert found["jobyard_job_duration_seconds_bucket", ("mail", "send", "0.0025")] == 2
    assert found["jobyard_job_duration_seconds_bucket", ("mail", "send", "+Inf")] == 3
    assert found["jobyard_job_duration_seconds_bucket", ("mail", "other", str(BUCKETS[-1]))] == 0
    assert found["jobyard_job_duration_seconds_bucket", ("mail", "other", "+Inf")] == 1


def test_the_living_are_added_to_the_dead_and_change_nothing_there() -> None:
    books = Books()
    books.add(report(tally(("mail", "send", "completed", 0.1))))
    living = [report(tally(("mail", "send", "completed", 0.1)))]
    for _ in range(3):
        found = samples(books.with_reports(living))
        assert found["jobyard_jobs_ended_total", ("mail", "send", "completed")] == 2
        assert found["jobyard_job_duration_seconds_count", ("mail", "send")] == 2


def test_queues_are_shown_and_when_redis_is_away_they_are_absent_rather_than_wrong() -> None:
    found = samples(
        Books(),
        [
            QueueFigures("mail", 5, 6, 4, 3, 2, 0, 1.5, {"smtp": True, "imap": False}),
            QueueFigures("idle", 0, 0, 0, 0, 0, 0, None),
        ],
    )
    assert found["jobyard_redis_up", ()] == 1
    kinds = ("waiting", "parked", "delayed", "active", "dead")
    states = {state: found["jobyard_queue_jobs", ("mail", state)] for state in kinds}
    assert states == {"waiting": 5, "parked": 6, "delayed": 4, "active": 3, "dead": 2}
    assert found["jobyard_queue_oldest_seconds", ("mail",)] == 1.5
    assert found["jobyard_queue_oldest_seconds", ("idle",)] == 0
    assert found["jobyard_jobs_lost", ("mail",)] == 0
    assert found["jobyard_breaker_open", ("mail", "smtp")] == 1
    assert found["jobyard_breaker_open", ("mail", "imap")] == 0
    found = samples(Books(), None)
    assert found["jobyard_redis_up", ()] == 0
    assert not any(name.startswith(("jobyard_queue", "jobyard_jobs_lost")) for name, _ in found)


def test_names_of_queues_and_actors_cant_break_the_format() -> None:
    books = Books()
    books.add(report(tally(("mail", 'a"b\\c\nd', "completed", 0.1))))
    assert samples(books)["jobyard_jobs_ended_total", ("mail", 'a"b\\c\nd', "completed")] == 1


def test_every_metric_is_exported_under_its_name_and_documented() -> None:
    books = Books()
    books.add(report(tally(("mail", "send", "completed", 0.1))))
    found = {
        re.sub("_(bucket|count|sum)$", "", name)
        for name, _ in samples(books, [QueueFigures("q", 0, 0, 0, 0, 0, 0, 0, {"smtp": True})])
    }
    assert found == {metric.exported for metric in Metric}
    documented = set(re.findall(r"^\| `(jobyard_\w+)`", DOCUMENTATION.read_text(), re.MULTILINE))
    assert documented == found


def test_a_running_worker_exports_its_jobs_threads_and_queues(
    start: Callable[..., WorkerProcess], send: Callable[..., str], producer: JobyardBroker
) -> None:
    worker = start("app", "--processes", "2", "--threads", "3").ready()
    for number in range(5):
        send("quick", f"job-{number}")
    send("hold", "held", 60)
    eventually(lambda: worker.names()["held"])
    metric = worker.metric
    eventually(lambda: metric("jobyard_jobs_ended_total", queue="work", actor="quick", outcome="completed") == 5)
    eventually(lambda: metric("jobyard_worker_threads", state="busy") == 1)
    assert metric("jobyard_worker_threads", state="idle") == 5
    assert metric("jobyard_worker_processes", state="ready") == 2
    assert metric("jobyard_worker_processes_wanted") == 2
    eventually(lambda: metric("jobyard_queue_jobs", queue="work", state="active") == 1, 5)
    producer.pause("work")
    for number in range(3):
        send("quick", f"waiting-{number}")
    eventually(lambda: metric("jobyard_queue_jobs", queue="work", state="waiting") == 3, 5)
    assert (metric("jobyard_queue_oldest_seconds", queue="work") or 0) > 0
    assert metric("jobyard_jobs_lost", queue="work") == 0
