"""`dramatiq.set_encoder`: messages and results go through the application's own encoder."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import dramatiq
import pytest

from jobyard.broker.envelope import unseal

PROGRAM = "encoding"


def test_arguments_and_results(program: Any) -> None:
    message = program.tomorrow.send(program.NOW, Decimal("1.10"))
    assert message.get_result(block=True) == ["datetime", program.NOW, Decimal("2.20")]


def test_through_a_pipeline(program: Any) -> None:
    pipe = (program.returns_it.message(program.NOW) | program.returns_it.message()).run()
    assert pipe.get_result(block=True) == program.NOW


def test_retries_and_callbacks(program: Any) -> None:
    job = program.ended(program.fails.send(program.NOW), "dead")
    assert [error["message"] for error in job.errors] == ["at 2026"] * 2
    assert job.args == (program.NOW,)


def test_priorities_and_lists_of_jobs_need_no_decoding_of_what_is_inside(program: Any) -> None:
    message = program.returns_it.send_with_options(args=(program.NOW,), delay=60_000)
    job = program.job(message)
    assert (job.state, job.priority, job.args) == ("delayed", 7, (program.NOW,))
    program.broker.cancel(message.message_id)


def test_what_the_encoder_refuses_is_not_accepted(program: Any) -> None:
    before = program.broker.inspector.stats("default").counts["accepted"]
    with pytest.raises(TypeError, match="no idea how to write"):
        program.returns_it.send(object())
    assert program.broker.inspector.stats("default").counts["accepted"] == before


def test_jobs_sent_with_dramatiqs_encoder_are_still_understood(program: Any) -> None:
    """While a fleet changes its encoder, both kinds of job are there."""
    own = dramatiq.get_encoder()
    dramatiq.set_encoder(dramatiq.JSONEncoder())
    try:
        message = program.returns_it.send([1, {"a": "b"}])
    finally:
        dramatiq.set_encoder(own)
    assert message.get_result(block=True) == [1, {"a": "b"}]


def test_the_pickle_encoder(program: Any) -> None:
    own = dramatiq.get_encoder()
    dramatiq.set_encoder(dramatiq.PickleEncoder())
    try:
        message = program.returns_it.message_with_options(args=({1, 2},), throws=(KeyError,))
        broker = program.broker
        content = unseal(broker._follow_up(message, None).envelope)
    finally:
        dramatiq.set_encoder(own)
    assert content.args == ({1, 2},)
    assert content.options == {"throws": (KeyError,)}
