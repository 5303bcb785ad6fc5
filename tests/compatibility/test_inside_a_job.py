"""What a job of ours can do that one of Dramatiq's can't: know itself, tell how far it is, be cancelled, check its payload."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from pydantic import BaseModel, Field

import jobyard
from jobyard import Cancelled, PayloadError, PermanentError, RetryPolicy
from jobyard.broker import JobyardBroker
from jobyard.broker.envelope import seal
from jobyard.broker.inspector import Job
from jobyard.priority import PriorityField
from jobyard.worker.worker import JobyardWorker
from support.waiting import eventually


class Line(BaseModel):
    product: str
    count: int = Field(gt=0)


class Invoice(BaseModel):
    customer: int
    lines: list[Line] = []
    priority: PriorityField = None


@pytest.fixture(params=[1, 4])
def threads(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


def ended(broker: JobyardBroker, message: dramatiq.Message[Any], state: str) -> Job:
    job = broker.inspector.wait(message.message_id, queue=message.queue_name, deadline=time.monotonic() + 10)
    assert job is not None
    assert job.state == state, job
    return job


# Payloads ----------------------------------------------------------------------------------------------------------


def declare_invoice(**options: Any) -> jobyard.JobyardActor:
    @jobyard.actor(queue_name="invoices", payload=Invoice, **options)
    def make_invoice(invoice: Invoice) -> int:
        return sum(line.count for line in invoice.lines)

    return make_invoice


def test_a_payload_arrives_as_its_model(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], threads: int
) -> None:
    make_invoice = declare_invoice()
    start_worker(threads=threads)
    assert make_invoice.send(customer=1, lines=[{"product": "a", "count": 2}]).get_result(block=True) == 2
    whole = Invoice(customer=1, lines=[Line(product="b", count=3)])
    assert make_invoice.send(whole).get_result(block=True) == 3


def test_what_does_not_fit_is_refused_at_enqueue_with_its_path(broker: JobyardBroker) -> None:
    make_invoice = declare_invoice()
    with pytest.raises(PayloadError) as caught:
        make_invoice.send(customer="x", lines=[{"product": "a", "count": 1}, {"product": "b", "count": 0}])
    assert [error.path for error in caught.value.fields] == ["customer", "lines.1.count"]
    assert str(caught.value).startswith("payload of 'make_invoice' refused: customer: Input should be a valid integer")
    with pytest.raises(PayloadError, match="takes keyword arguments only"):
        make_invoice.send(1)
    assert broker.inspector.queues() == []


def test_the_payloads_priority_is_the_jobs_unless_the_option_says_another(broker: JobyardBroker) -> None:
    make_invoice = declare_invoice(priority=jobyard.Priority.LOW)
    sent = {
        make_invoice.send(customer=1).message_id: 10,
        make_invoice.send(customer=1, priority="high").message_id: 2,
        make_invoice.send(customer=1, priority=40).message_id: 40,
        make_invoice.send_with_options(kwargs={"customer": 1, "priority": "high"}, priority="critical").message_id: 1,
    }
    jobs = broker.inspector.jobs("invoices", "waiting")
    assert {job.id: job.priority for job in jobs} == sent
    assert [job.priority for job in jobs] == [1, 2, 10, 40]
    with pytest.raises(ValueError, match="give critical, high, normal, low or an integer from 0 to 100"):
        make_invoice.send_with_options(kwargs={"customer": 1}, priority="soon")


def test_a_payload_of_an_older_release_is_checked_again_and_not_tried_in_vain(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], threads: int
) -> None:
    make_invoice = declare_invoice()
    old = make_invoice.message(customer=1).copy(kwargs={"client": 1})
    broker.enqueue(old)
    start_worker(threads=threads)
    job = ended(broker, old, "dead")
    assert job.attempts == 1
    assert job.errors[-1]["error"] == "PayloadError"
    assert job.errors[-1]["message"] == "payload of 'make_invoice' refused: customer: Field required"


def test_a_payload_error_of_another_actor_is_an_error_like_any_other(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]
) -> None:
    make_invoice = declare_invoice()

    @jobyard.actor(queue_name="q", retry=RetryPolicy(attempts=2, initial=0))
    def sends_nonsense() -> None:
        make_invoice.send(customer="x")

    message = sends_nonsense.send()
    start_worker()
    assert ended(broker, message, "dead").attempts == 2


def test_the_actor_can_be_called_directly(broker: JobyardBroker) -> None:
    make_invoice = declare_invoice()
    assert make_invoice(customer=1, lines=[{"product": "a", "count": 2}]) == 2
    with pytest.raises(PayloadError, match="customer: Field required"):
        make_invoice()


# The job itself ----------------------------------------------------------------------------------------------------


def test_a_job_knows_itself_and_nothing_is_known_outside(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], threads: int
) -> None:
    @jobyard.actor(queue_name="q", retry=RetryPolicy(attempts=2, initial=0))
    def knows_itself() -> list[Any]:
        job = jobyard.current_job()
        if job is None:
            return []
        if job.attempt == 1:
            raise RuntimeError("once more")
        return [job.id, job.queue, job.actor, job.attempt, job.cancelled]

    start_worker(threads=threads)
    message = knows_itself.send()
    assert message.get_result(block=True) == [message.message_id, "q", "knows_itself", 2, False]
    assert knows_itself() == []
    jobyard.report_progress(50, "nobody listens")


def test_progress_is_seen_from_outside(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], threads: int
) -> None:
    @jobyard.actor(queue_name="q")
    def reports() -> None:
        jobyard.report_progress(40, "reading", rows=1200)
        eventually(lambda: broker.client.exists("go on " + broker.namespace))
        jobyard.report_progress(100, "done")

    start_worker(threads=threads)
    message = reports.send()

    def progress() -> Any:
        job = broker.inspector.job(message.message_id, queue="q")
        return job and job.progress

    assert eventually(progress) == {"percent": 40, "message": "reading", "counts": {"rows": 1200}}
    broker.client.set("go on " + broker.namespace, 1)
    ended(broker, message, "completed")
    assert progress()["percent"] == 100


def test_a_cancel_interrupts_the_job(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], threads: int
) -> None:
    seen: list[Any] = []

    @jobyard.actor(queue_name="q", on_failure="heard", on_dead="heard")
    def dawdles() -> None:
        seen.append("began")
        try:
            while True:
                time.sleep(0.005)
        except Exception:  # noqa: BLE001 - this is what jobs do; it must not catch a cancel
            seen.append("caught")
        except Cancelled:
            job = jobyard.current_job()
            seen.append(("cancelled", job is not None and job.cancelled))
            raise

    @dramatiq.actor(queue_name="heard")
    def heard(message_data: dict[str, Any], exception_data: dict[str, Any]) -> None: ...

    start_worker(threads=threads, queues=["q"])
    message = dawdles.send()
    eventually(lambda: seen)
    assert broker.cancel(message.message_id) == "active"
    job = ended(broker, message, "cancelled")
    assert job.attempts == 1
    assert seen == ["began", ("cancelled", True)]
    assert [one.args[1]["type"] for one in broker.inspector.jobs("heard", "waiting")] == ["Cancelled"]


def test_a_job_may_see_that_it_is_cancelled_and_complete(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], threads: int
) -> None:
    began: list[int] = []

    @jobyard.actor(queue_name="q")
    def stops_by_itself() -> str:
        began.append(1)
        job = jobyard.current_job()
        assert job is not None
        try:
            while not job.cancelled:
                time.sleep(0.005)
        except Cancelled:
            pass
        return "as far as it went"

    start_worker(threads=threads)
    message = stops_by_itself.send()
    eventually(lambda: began)
    broker.cancel(message.message_id)
    assert message.get_result(block=True) == "as far as it went"


@pytest.mark.parametrize("on_what", ["actor", "message"])
def test_on_dead_is_told_of_every_death(
    broker: JobyardBroker, start_worker: Callable[..., JobyardWorker], on_what: str
) -> None:
    heard: list[Any] = []
    options = {"on_dead": "undertaker"}

    @jobyard.actor(queue_name="q", **(options if on_what == "actor" else {}))
    def dies() -> None:
        raise PermanentError("no hope")

    @dramatiq.actor(queue_name="q", max_age=1, **(options if on_what == "actor" else {}))
    def gets_too_old() -> None: ...

    @dramatiq.actor(queue_name="q")
    def undertaker(message_data: dict[str, Any], error: dict[str, str]) -> None:
        heard.append((message_data["actor_name"], error))

    own = {} if on_what == "actor" else options
    dies.send_with_options(**own)
    broker.enqueue(gets_too_old.message_with_options(**own).copy(message_timestamp=1))
    start_worker()
    eventually(lambda: len(heard) == 2)
    assert sorted(heard) == [
        ("dies", {"type": "PermanentError", "message": "no hope"}),
        ("gets_too_old", {"type": "SkipMessage", "message": "Message age limit exceeded"}),
    ]


def test_a_damaged_message_is_a_dead_letter(broker: JobyardBroker, start_worker: Callable[..., JobyardWorker]) -> None:
    make_invoice = declare_invoice()
    message = make_invoice.send_with_options(kwargs={"customer": 1}, delay=300)
    keys = broker.keys("invoices")
    broker.client.hset(keys["jobs"], message.message_id, seal(message, 5)[:-20])
    start_worker()
    assert ended(broker, message, "dead").errors[-1]["error"] == "DecodeError"
