"""A message as it lies in Redis."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
from dramatiq import Message
from dramatiq.encoder import JSONEncoder, PickleEncoder
from dramatiq.errors import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from jobyard.broker.envelope import Content, seal, unseal


def message(*args: Any, **kwargs: Any) -> Message[Any]:
    return Message("q", "work", args, kwargs, {"max_retries": 3}, "id", 1_700_000_000_000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(args=st.lists(json_values, max_size=4), kwargs=st.dictionaries(st.text(), json_values, max_size=4))
def test_what_json_knows_comes_back_as_it_was(args: list[Any], kwargs: dict[str, Any]) -> None:
    content = unseal(seal(message(*args, **kwargs), 7))
    assert repr(content) == repr(Content("work", tuple(args), kwargs, {"max_retries": 3}, 1_700_000_000_000, 7)), (
        "as text, since not a number is not equal to itself"
    )


@given(args=st.lists(json_values, max_size=3))
def test_it_reads_as_what_dramatiq_would_have_sent(args: list[Any]) -> None:
    ours = unseal(seal(message(*args), 5)).args
    theirs = Message.decode(message(*args).encode()).args
    assert repr(ours) == repr(tuple(theirs))


def test_a_tuple_comes_back_as_a_list_as_with_dramatiq() -> None:
    assert unseal(seal(message((1, 2)), 5)).args == ([1, 2],)


@pytest.mark.parametrize("value", [b"bytes", {1}, object(), 1j], ids=["bytes", "set", "object", "complex"])
@pytest.mark.parametrize("nested", [False, True])
def test_what_json_does_not_know_is_refused(value: Any, nested: bool) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        seal(message([value] if nested else value), 5)


def test_it_is_small() -> None:
    assert len(seal(message("x" * 160), 5)) <= 160 + 60


def test_it_is_json_that_others_can_read() -> None:
    assert json.loads(seal(message("ü"), 5)) == ["work", ["ü"], {}, {"max_retries": 3}, 1_700_000_000_000, 5]


@pytest.fixture
def _pickle() -> Iterator[None]:
    dramatiq.set_encoder(PickleEncoder())
    yield
    dramatiq.set_encoder(JSONEncoder())


@pytest.mark.usefixtures("_pickle")
def test_an_encoder_of_the_programs_own_is_used() -> None:
    envelope = seal(message({1, 2}, key=b"bytes"), 42)
    assert envelope.startswith(b"!42 ")
    content = unseal(envelope)
    assert (content.args, content.kwargs, content.priority) == (({1, 2},), {"key": b"bytes"}, 42)


@given(st.binary(max_size=200))
def test_whatever_lies_there_it_is_read_or_refused_as_unreadable(envelope: bytes) -> None:
    found: object = None
    with contextlib.suppress(DecodeError):
        found = unseal(envelope)
    assert found is None or isinstance(found, Content)


@given(json_values)
def test_json_of_another_shape_is_refused_as_unreadable(value: Any) -> None:
    with pytest.raises(DecodeError):
        unseal(json.dumps(value).encode())
