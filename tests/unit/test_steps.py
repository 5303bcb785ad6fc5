"""Which jobs come before a step of a pipeline."""

from __future__ import annotations

import pytest
from dramatiq import pipeline

from jobyard.broker import steps
from jobyard.testing import stub_broker
from support.hand import message


def test_each_step_knows_those_before_it() -> None:
    pipe = pipeline([message(queue, job_id=queue) for queue in "abc"], broker=stub_broker())
    noted = steps.Steps()
    noted.note(pipe.messages[0])
    assert noted.before("a") == ()
    assert noted.before("b") == (("a", "a"),)
    assert noted.before("c") == (("a", "a"), ("b", "b"))


def test_the_oldest_steps_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_MOST", 3)
    noted = steps.Steps()
    for number in range(5):
        first, second = message("q"), message("q", job_id=str(number))
        noted.note(pipeline([first, second], broker=stub_broker()).messages[0])
    assert [bool(noted.before(str(number))) for number in range(5)] == [False, False, True, True, True]
