"""How far a running job is, as it says itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

import dramatiq

from jobyard.broker import JobyardBroker
from jobyard.context import report_progress
from jobyard.worker.worker import JobyardWorker
from support.hand import look_up
from support.waiting import eventually


def test_a_report_is_shown_while_the_job_runs_and_the_last_one_stays(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    go_on = threading.Event()

    @dramatiq.actor(queue_name="q")
    def work() -> None:
        report_progress(40, "reading", rows=1200)
        go_on.wait(10)
        report_progress(100, "done")

    start_worker()
    sent = work.send()
    eventually(lambda: look_up(broker, sent.message_id).progress)
    assert look_up(broker, sent.message_id).progress == {
        "percent": 40.0,
        "message": "reading",
        "counts": {"rows": 1200},
    }
    go_on.set()
    eventually(lambda: look_up(broker, sent.message_id).state == "completed")
    assert (look_up(broker, sent.message_id).progress or {})["message"] == "done"


def test_many_reports_cost_few_calls(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    @dramatiq.actor(queue_name="q")
    def work() -> None:
        for number in range(10_000):
            report_progress(number / 100)

    client = broker.server.client()
    start_worker()
    sent = work.send()
    before = client.info("stats")["total_commands_processed"]
    eventually(lambda: look_up(broker, sent.message_id).state == "completed")
    assert client.info("stats")["total_commands_processed"] - before < 2_000


def test_whatever_a_job_says_it_does_no_harm_to_it(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    @dramatiq.actor(queue_name="q", max_retries=0)
    def work() -> None:
        report_progress(-5)
        report_progress(100, "half a pair: \ud800" + "x" * 1000)
        report_progress(1e9, "ü")
        report_progress(float("nan"))

    start_worker()
    sent = work.send()
    eventually(lambda: look_up(broker, sent.message_id).ended)
    assert look_up(broker, sent.message_id).state == "completed"


def test_outside_a_job_nothing_happens() -> None:
    report_progress(50, "nobody listens")
