"""Dead letters as objects: the newest ones, a bounded number, and none discarded by mistake."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from tests.unit.operator.conftest import build_queue

from jobyard_operator.core.deadletters import (
    RELEASED_ANNOTATION,
    RETRY_ANNOTATION,
    STEP,
    Letter,
    asks_for_retry,
    belongs,
    dead_job,
    means_discard,
    mirror,
)
from jobyard_operator.resources import DeadJob, JobQueue
from jobyard_operator.resources.crd import schema
from jobyard_operator.resources.deadjob import DeadJobSpec

MakeQueue = Callable[..., JobQueue]
TIME = "2026-11-24T12:00:00Z"


def letter(number: int, died: str = TIME) -> Letter:
    return Letter(job_id=f"job-{number}", actor="send_email", died=died)


def shown(queue: JobQueue, one: Letter, **annotations: str) -> DeadJob:
    dead = dead_job(queue, one)
    dead["metadata"]["annotations"] = annotations
    return DeadJob.model_validate(dead)


@given(st.lists(st.integers(0, 60), unique=True), st.sets(st.integers(0, 60)), st.integers(0, 100))
def test_after_some_passes_the_newest_are_shown_and_nothing_else(newest: list[int], there: set[int], most: int) -> None:
    queue = build_queue(deadLetters={"mirrored": most})
    letters = [letter(number) for number in newest]
    existing = {f"job-{number}": shown(queue, letter(number)) for number in there}
    for _ in range(8):
        plan = mirror(queue, letters, existing.values())
        assert len(plan.create) <= STEP
        assert len(plan.release) <= STEP
        for dead in plan.release:
            del existing[dead.spec.job_id]
        existing |= {dead["spec"]["jobId"]: DeadJob.model_validate(dead) for dead in plan.create}
    assert set(existing) == {f"job-{number}" for number in newest[:most]}
    assert mirror(queue, letters, existing.values()) == mirror(queue, [], [])


def test_a_job_that_died_again_gets_a_new_object(make_queue: MakeQueue) -> None:
    queue = make_queue()
    old = shown(queue, letter(1))
    again = letter(1, died="2026-11-24T13:00:00Z")
    plan = mirror(queue, [again], [old])
    assert plan.release == (old,)
    assert plan.create == ()
    assert mirror(queue, [again], []).create[0]["spec"]["diedTime"] == again.died


def test_objects_of_other_queues_are_left_alone(make_queue: MakeQueue) -> None:
    queue = make_queue()
    spec = shown(queue, letter(1)).spec.model_copy(update={"job_queue": "images"})
    other = shown(queue, letter(1)).model_copy(update={"spec": spec})
    plan = mirror(queue, [letter(1)], [other])
    assert plan.release == ()
    # And two queues may have a job of the same id.
    assert plan.create[0]["metadata"]["name"] != "job-1"


def test_the_id_is_the_name_where_it_can_be(make_queue: MakeQueue) -> None:
    queue = make_queue()
    assert dead_job(queue, letter(1))["metadata"]["name"] == "job-1"
    odd = dead_job(queue, Letter(job_id="Order_7:x", actor="a", died=TIME))
    assert odd["metadata"]["name"].startswith("job-")
    assert odd["spec"]["jobId"] == "Order_7:x"


def test_arguments_are_shown_only_when_asked_for(make_queue: MakeQueue) -> None:
    one = Letter(job_id="job-1", actor="a", died=TIME, arguments={"args": ["ada@example.org"], "kwargs": {}})
    assert "arguments" not in dead_job(make_queue(), one)["spec"]
    asked = make_queue(deadLetters={"showArguments": True})
    assert "ada@example.org" in dead_job(asked, one)["spec"]["arguments"]


def test_long_texts_fit_the_schema(make_queue: MakeQueue) -> None:
    queue = make_queue(deadLetters={"showArguments": True})
    one = Letter(
        job_id="job-1",
        actor="a",
        died=TIME,
        error_type="E" * 999,
        error_message="m" * 9999,
        arguments={"args": ["x" * 9999]},
    )
    Draft7Validator(schema(DeadJobSpec)).validate(dead_job(queue, one)["spec"])


def test_only_a_persons_deletion_discards(make_queue: MakeQueue) -> None:
    queue = make_queue()
    assert means_discard(shown(queue, letter(1)))
    assert not means_discard(shown(queue, letter(1)), queue_is_going=True)
    assert not means_discard(shown(queue, letter(1), **{RELEASED_ANNOTATION: "true"}))
    retried = shown(queue, letter(1), **{RETRY_ANNOTATION: "true"})
    assert asks_for_retry(retried)
    assert not means_discard(retried)


def test_one_that_was_to_go_is_made_anew(make_queue: MakeQueue) -> None:
    queue = make_queue()
    released = shown(queue, letter(1), **{RELEASED_ANNOTATION: "true"})
    assert mirror(queue, [letter(1)], [released]).release == (released,)
    assert mirror(queue, [letter(1)], []).create


def test_one_that_somebody_else_made_is_none_of_ours(make_queue: MakeQueue) -> None:
    queue = make_queue()
    dead = shown(queue, letter(1))
    assert belongs(dead, queue)
    for spec in ({"queue": "payments"}, {"job_queue": "payments"}):
        assert not belongs(dead.model_copy(update={"spec": dead.spec.model_copy(update=spec)}), queue)
    # A JobQueue of the same name that was deleted, and one that came after it, are two.
    old = queue.model_copy(update={"metadata": queue.metadata.model_copy(update={"uid": "before"})})
    assert not belongs(shown(old, letter(1)), queue)
