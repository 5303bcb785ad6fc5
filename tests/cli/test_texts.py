"""What reaches a terminal or a program: harmless, and the same value."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from jobyard.cli.harmless import harmless, json_text
from jobyard.cli.yaml_text import yaml_text

HARMFUL = "\x1b[2J \x07 \x00 \r \x7f \x9b \u202e \u2028 \u200b \ufeff \ud800 \U000e0041"

scalars = (
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text()
)
values = some.recursive(
    scalars,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=8,
)


def test_nothing_that_a_terminal_obeys_is_left() -> None:
    for text in (harmless(HARMFUL), json_text(HARMFUL)):
        assert text.isprintable()
        assert "x1b[2J" in text or "u001b[2J" in text


def test_a_traceback_keeps_its_lines() -> None:
    assert harmless("a\n\tb\x1b", lines=True) == "a\n\tb\\x1b"


def test_other_languages_stay_readable() -> None:
    assert json_text("Łódź 東京 😀") == '"Łódź 東京 😀"'


@given(some.text())
def test_every_text_is_harmless(text: str) -> None:
    assert not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in harmless(text))


@given(values)
def test_json_says_the_same(value: Any) -> None:
    assert json.loads(json_text(value, indent=2)) == value


@given(values)
def test_yaml_says_the_same(value: Any) -> None:
    assert yaml.safe_load(yaml_text(value)) == value


@pytest.mark.parametrize(
    "value", [{"no": "no"}, "2026-11-24", {"": ""}, [[], [[]], {}], {"a": {"b": [1, {"c": None}]}}, 1e22, {"k" * 2000: [1]}]
)  # fmt: skip
def test_yaml_takes_no_text_for_anything_else(value: Any) -> None:
    assert yaml.safe_load(yaml_text(value)) == value
