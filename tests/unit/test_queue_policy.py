"""A queue's policy as fields in Redis, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.broker.policy import QueuePolicy

counts = st.none() | st.integers(0, 10**12)


@given(
    paused=st.none() | st.booleans(),
    ageing=st.none() | st.floats(0.001, 30 * 86400),
    completed=counts,
    completed_ttl=counts,
    dead=counts,
    dead_ttl=counts,
)
def test_a_policy_comes_back_as_it_was(**fields: object) -> None:
    policy = QueuePolicy.model_validate(fields)
    stored = {name: value for name, value in policy.to_fields().items() if value != ""}
    assert QueuePolicy.from_fields(stored) == policy


def test_a_default_takes_the_field_away() -> None:
    assert QueuePolicy(dead=None).to_fields()["dead"] == ""
    assert QueuePolicy(paused=False).to_fields()["paused"] == "0"


def test_fields_of_a_newer_version_are_left_aside() -> None:
    assert QueuePolicy.from_fields({"dead": "5", "invented_later": "x"}) == QueuePolicy(dead=5)


def test_an_unknown_field_is_refused_where_it_is_given() -> None:
    with pytest.raises(ValueError, match="agieng"):
        QueuePolicy.model_validate({"agieng": 5})
