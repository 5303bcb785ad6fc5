"""Can this server be trusted with jobs?"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from jobyard.broker.checks import check, check_confirming, confirmation, confirmed
from jobyard.broker.errors import BrokerRefusedError

GOOD: dict[str, Any] = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "aof_enabled": "1"}


def test_a_suitable_server_is_accepted_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        check(GOOD, "redis://host")
        check_confirming(GOOD, "redis://host")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"redis_version": "6.2.14"}, "is Redis 6.2.14; Jobyard needs Redis 7.0 or newer"),
        ({"redis_version": "2.8"}, "needs Redis 7.0"),
        ({"maxmemory_policy": "allkeys-lru"}, "'allkeys-lru'.*CONFIG SET maxmemory-policy noeviction"),
    ],
)
def test_an_unsuitable_server_is_refused_with_what_to_do(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(BrokerRefusedError, match=f"(?s)redis://host.*{what}|{what}"):
        check({**GOOD, **wrong}, "redis://host")


@pytest.mark.parametrize("version", ["7.0.0", "7.0.15", "8.2.1", "255.255.255"])
def test_newer_servers_are_accepted(version: str) -> None:
    check({**GOOD, "redis_version": version}, "redis://host")


def test_one_without_an_append_only_file_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    check({**GOOD, "aof_enabled": "0"}, "redis://host")
    assert "redis://host has no append-only file" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "what"), [({"redis_version": "7.0.15"}, "7.2"), ({"aof_enabled": "0"}, "appendonly")]
)
def test_one_that_can_not_confirm_is_refused_where_that_is_asked_for(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(BrokerRefusedError, match=what):
        check_confirming({**GOOD, **wrong}, "redis://host")


def test_what_confirms_a_write() -> None:
    assert confirmation("memory", 1, 5) is None
    assert confirmation("aof", 1, 1.5) == (b"WAITAOF", 1, 0, 1500)
    assert confirmation("quorum", 2, 3) == (b"WAIT", 2, 3000)
    assert confirmed("aof", 1, [1, 0])
    assert not confirmed("aof", 1, [0, 0])
    assert confirmed("quorum", 2, 2)
    assert not confirmed("quorum", 2, 1)
