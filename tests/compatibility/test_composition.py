"""Pipelines and groups."""

from __future__ import annotations

import time
from typing import Any

import pytest
from dramatiq import group, pipeline
from dramatiq.results import ResultFailure, ResultMissing, ResultTimeout

PROGRAM = "composing"


def test_a_pipeline_hands_each_result_on_also_over_queues(program: Any) -> None:
    pipe = program.add.message(1, 2) | program.double.message() | program.add.message(10)
    pipe.run()
    assert pipe.get_result(block=True) == 16
    assert list(pipe.get_results(block=True)) == [3, 6, 16]
    assert (pipe.completed, pipe.completed_count, len(pipe)) == (True, 3, 3)


def test_pipelines_are_flattened(program: Any) -> None:
    inner = program.add.message(1, 1) | program.double.message()
    pipe = pipeline([inner, program.double.message()]).run()
    assert pipe.get_result(block=True) == 8


def test_pipe_ignore_of_an_actor_and_of_a_message(program: Any, topic: str) -> None:
    (program.tells_nobody.message(1) | program.remember.message(topic)).run()
    assert program.notes(topic, 1) == [[]]
    ignoring = program.remember.message_with_options(args=(topic, 7), pipe_ignore=True)
    (program.add.message(1, 2) | ignoring).run()
    assert program.notes(topic, 2)[1] == 7


def test_a_pipelines_delay_and_its_steps_delays(program: Any, topic: str) -> None:
    later = program.remember.message_with_options(args=(topic,), delay=60_000)
    pipe = (program.add.message(1, 2) | later).run(delay=100)
    assert program.job(pipe.messages[0]).state == "delayed"
    program.ended(pipe.messages[0])
    step, first = program.job(pipe.messages[1]), program.job(pipe.messages[0])
    assert step.state == "delayed"
    assert step.args == (topic, 3)
    assert first.started_at - first.created_at >= 95
    assert step.due_at - first.ended_at == 60_000
    program.broker.cancel(step.id)


def test_a_step_that_fails_ends_the_pipeline(program: Any) -> None:
    pipe = (program.add.message(1, 2) | program.fail.message() | program.double.message()).run()
    failed = pipe.messages[1]
    program.ended(failed, "dead")
    assert program.job(failed).args == (3,)
    assert program.broker.inspector.job(pipe.messages[2].message_id) is None
    with pytest.raises(ResultMissing):
        pipe.get_result()
    assert not pipe.completed
    with pytest.raises(ResultFailure, match="actor raised RuntimeError: on purpose"):
        failed.get_result()
    with pytest.raises(ResultFailure, match="actor raised RuntimeError: on purpose"):
        pipe.get_result(block=True, timeout=20_000)


def test_a_group(program: Any) -> None:
    some = group([program.add.message(number, number) for number in range(20)]).run()
    some.wait(timeout=20_000)
    assert list(some.get_results()) == [2 * number for number in range(20)]
    assert (some.completed, some.completed_count, len(some)) == (True, 20, 20)


def test_a_group_of_groups_and_pipelines(program: Any) -> None:
    some = group(
        [
            program.add.message(1, 1),
            program.add.message(2, 2) | program.double.message(),
            group([program.double.message(1), program.double.message(2)]),
        ]
    ).run()
    assert list(some.get_results(block=True)) == [2, 8, [2, 4]]


def test_a_groups_delay_and_what_is_completed_meanwhile(program: Any) -> None:
    now = program.add.message(1, 1)
    some = group([now, program.add.message(2, 2)])
    program.broker.enqueue(now)
    program.ended(now)
    assert (some.completed, some.completed_count) == (False, 1)
    group(some.children[1:]).run(delay=100)
    began = time.monotonic()
    assert list(some.get_results(block=True)) == [2, 4]
    assert time.monotonic() - began >= 0.08
    with pytest.raises(ResultTimeout):
        group([program.add.message(1, 1)]).wait(timeout=50)


def test_a_failed_child_fails_the_groups_results(program: Any) -> None:
    some = group([program.add.message(1, 1), program.fail.message()]).run()
    with pytest.raises(ResultFailure):
        list(some.get_results(block=True))


def test_a_failed_child_is_reported_and_not_waited_for(program: Any) -> None:
    """Also where it is a step of a pipeline, so that the last step never comes. In Dramatiq that is waited for to the end."""
    for failing in (
        program.fail.message(),
        program.add.message(1, 1) | program.fail.message() | program.double.message(),
        group([program.fail.message()]),
    ):
        some = group([program.add.message(1, 1), failing]).run()
        with pytest.raises(ResultFailure):
            some.wait(timeout=60_000)


def test_a_completion_callback_comes_once_when_all_are_done(program: Any, topic: str) -> None:
    some = group(
        [
            *(program.add.message(number, number) for number in range(8)),
            program.add.message(2, 2) | program.double.message(),
        ]
    )
    some.add_completion_callback(program.finished.message(topic))
    some.run()
    assert program.notes(topic, 1) == ["all of them"]
    some.wait()
    program.broker.join("default")
    assert program.notes(topic) == ["all of them"]


def test_without_the_last_child_there_is_no_completion(program: Any, topic: str) -> None:
    some = group([program.add.message(1, 1), program.fail.message()])
    some.add_completion_callback(program.finished.message(topic))
    some.run()
    program.broker.join("default")
    assert program.notes(topic) == []


def test_running_the_same_pipeline_again_changes_nothing(program: Any, topic: str) -> None:
    """Here we differ: the id of a message is its identity. Dramatiq would run it twice."""
    pipe = program.add.message(1, 2) | program.remember.message(topic)
    pipe.run()
    assert pipe.get_result(block=True) == 1
    pipe.run()
    program.broker.join("default")
    assert program.notes(topic) == [3]
