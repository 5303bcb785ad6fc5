"""Which server a URL names."""

from __future__ import annotations

import pytest

from jobyard.broker.server import server, without_secrets


@pytest.mark.parametrize(
    ("url", "address", "clustered"),
    [
        ("redis://host:6379/0", "redis://host:6379/0", False),
        ("redis://user:secret@host:6379/2?client_name=secret", "redis://host:6379/2", False),
        ("rediss://:secret@host", "rediss://host", False),
        ("unix://user:secret@/run/redis.sock?db=1", "unix:///run/redis.sock", False),
        ("redis+sentinel://u:secret@a:1,b:2/0?service=x&sentinel_password=secret", "redis+sentinel://a:1,b:2/0", False),
        ("redis+cluster://u:se@cret@a:1,b:2", "redis+cluster://a:1,b:2", True),
        ("rediss+cluster://a", "rediss+cluster://a", True),
    ],
)
def test_every_kind_is_understood_and_no_secret_is_shown(url: str, address: str, clustered: bool) -> None:
    found = server(url)
    assert found.address == address
    assert found.clustered is clustered
    assert without_secrets(url) == address
    assert "secret" not in found.address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:6379",
        "http://user:secret@host",
        "redis+other://user:secret@host",
        "redis://user:secret@host:port/0",
        "redis+cluster://",
        "redis+sentinel://user:secret@/0",
    ],
)
def test_what_can_not_be_understood_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL") as error:
        server(url)
    assert "secret" not in str(error.value)


def test_a_user_and_password_may_hold_any_character() -> None:
    found = server("redis://us%40er:p%3Ass%2F%20@host:1/0")
    connection = found.connection(b"")
    assert connection.credential_provider is None
    assert (connection.username, connection.password) == ("us@er", "p:ss/ ")
