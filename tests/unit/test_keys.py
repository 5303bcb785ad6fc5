"""The Redis layout."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from jobyard.broker.keys import FIELDS, QueueKeys, check_queue_name, registry, worker_channel, workers


@pytest.mark.parametrize("name", ["q", "_", "default", "emails/7", "a.b-c_D9", "x" * 128])
def test_these_can_be_queues(name: str) -> None:
    assert check_queue_name(name) == name


@pytest.mark.parametrize("name", ["", "7q", "a b", "a{b}", "ü", "q.DQ", "q.XQ", "a\n", "x" * 129, "a:b", "-a"])
def test_these_can_not(name: str) -> None:
    with pytest.raises(ValueError, match="can't be a queue's name"):
        check_queue_name(name)


def test_the_scripts_know_the_fields_in_the_same_order() -> None:
    text = files("jobyard.broker").joinpath("lua", "include", "queue.lua").read_text()
    listed = re.findall(r"(\w+) = keys\[first(?: \+ (\d+))?\]", text)
    assert [name for name, _ in listed] == list(FIELDS)
    assert [int(number or 0) for _, number in listed] == list(range(len(FIELDS)))
    assert f"local FIELDS = {len(FIELDS)}\n" in text


def test_a_field_is_found_by_its_name() -> None:
    keys = QueueKeys("jobyard", "emails")
    assert keys["ready"] == b"jobyard:{emails}:ready"
    assert keys["ready"] in keys.all
    with pytest.raises(ValueError):
        keys["nonsense"]


def test_what_belongs_to_no_queue_has_no_hash_tag() -> None:
    for key in (registry("n"), workers("n"), worker_channel("n", "token")):
        assert key.startswith(b"n:")
        assert b"{" not in key
