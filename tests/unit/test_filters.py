"""Which jobs a filter means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.broker.filters import JobFilter, has_argument
from jobyard.broker.inspector import Job

JOB = Job(
    id="1", queue="emails", state="dead", actor="welcome",
    args=(7, "Ada", True, [1, {"deep": "sea"}], 5.0), kwargs={"tenant": "acme", "order": {"id": 5, "note": 'say "hi"'}, "a.b": 1},
    options={"tags": ["vip", "spring"]}, priority=5, attempts=2, created_at=1_000, ended_at=2_000,
    errors=[{"error": "OSError", "message": "first"}, {"error": "ValueError", "message": "Mailbox full", "group": "abc"}],
)  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, True),
        ({"queue": "emails"}, True),
        ({"queue": ("images", "emails")}, True),
        ({"queue": "images"}, False),
        ({"states": ("dead", "waiting")}, True),
        ({"states": ("waiting",)}, False),
        ({"actor": "welcome"}, True),
        ({"actor": "welc"}, False),
        ({"tag": "vip"}, True),
        ({"tag": "vi"}, False),
        ({"error": "ValueError"}, True),
        ({"error": "mailbox"}, True),
        ({"error": "OSError"}, False),  # not the last one
        ({"group": "abc"}, True),
        ({"group": "abd"}, False),
        ({"created_after": 1_000}, True),
        ({"created_after": 1_001}, False),
        ({"created_before": 1_000}, False),
        ({"created_before": 1_001}, True),
        ({"ended_after": 2_000, "ended_before": 2_001}, True),
        ({"ended_before": 2_000}, False),
        ({"argument": {"tenant": "acme", "0": 7, "order.id": 5}}, True),
        ({"argument": {"tenant": "acme", "0": 8}}, False),
        ({"text": "ACM"}, True),
        ({"text": '"hi"'}, True),
        ({"text": "sea"}, True),
        ({"text": "ocean"}, False),
        ({"queue": "emails", "text": "ocean"}, False),
    ],
)
def test_all_that_is_given_must_fit(given: dict[str, Any], expected: bool) -> None:
    assert JobFilter(**given).fits(JOB) is expected


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("0", 7, True),
        ("0", "7", True),  # as text: what a command line or a URL can say
        ("1", "Ada", True),
        ("1", "ada", False),
        ("2", True, True),
        ("2", "true", True),
        ("2", 1, False),
        ("4", 5, True),
        ("3.0", 1, True),
        ("3.1.deep", "sea", True),
        ("3.2", None, False),
        ("9", None, False),
        ("tenant", "acme", True),
        ("order", {"note": 'say "hi"', "id": 5}, True),
        ("order.id", 5.0, True),
        ("order.missing", None, False),
        ("a.b", 1, True),
        ("tenant.x", "acme", False),
        ("tenant.", "acme", False),
    ],
)
def test_an_argument_is_found_by_position_name_or_path(path: str, value: object, expected: bool) -> None:
    assert has_argument(JOB.args, JOB.kwargs, path, value) is expected


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_a_value_is_found_as_itself_and_as_its_json_text(value: object) -> None:
    assert has_argument((), {"it": value}, "it", value)
    if not isinstance(value, str | float):
        assert has_argument((), {"it": value}, "it", json.dumps(value, separators=(",", ":"), ensure_ascii=False)) or (
            isinstance(value, list)  # Floats in it may be written in another way.
        )


def test_a_job_without_an_end_or_an_error_does_not_fit_where_one_is_asked_for() -> None:
    waiting = Job("1", "emails", "waiting", "welcome", (), {}, {"tags": "vip"}, 5, 0)
    for one in ({"ended_after": 0}, {"created_after": 0}, {"error": "ValueError"}, {"group": "abc"}, {"tag": "vip"}):
        assert not JobFilter(**one).fits(waiting), one


@pytest.mark.parametrize(
    "wrong",
    [
        {"queue": "no queue"},
        {"states": ("failed",)},
        {"states": "dead"},
        {"actor": ""},
        {"text": ""},
        {"tag": 5},
        {"created_after": -1},
        {"ended_before": "yesterday"},
        {"argument": {"": 1}},
    ],
)
def test_a_filter_that_can_only_be_a_mistake_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("queue", "queue's name")):
        JobFilter(**wrong)
