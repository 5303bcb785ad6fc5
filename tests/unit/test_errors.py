"""Every error of redis-py and of the socket becomes one of the broker's."""

from __future__ import annotations

import ssl

import pytest
import redis.exceptions as wire
from dramatiq.errors import BrokerConnectionError

from jobyard.broker.errors import BrokerFullError, BrokerRefusedError, BrokerUnavailableError, translate


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (wire.ConnectionError("closed"), BrokerUnavailableError),
        (wire.TimeoutError("slow"), BrokerUnavailableError),
        (OSError(104, "reset"), BrokerUnavailableError),
        (TimeoutError(), BrokerUnavailableError),
        (wire.BusyLoadingError("Redis is loading"), BrokerUnavailableError),
        (wire.ReadOnlyError("read only replica"), BrokerUnavailableError),
        (wire.MasterDownError("x"), BrokerUnavailableError),
        (wire.ClusterDownError("x"), BrokerUnavailableError),
        (wire.TryAgainError("x"), BrokerUnavailableError),
        (wire.RedisClusterException("x"), BrokerUnavailableError),
        (wire.ResponseError("UNBLOCKED force unblock"), BrokerUnavailableError),
        (wire.ResponseError("BUSY running a script"), BrokerUnavailableError),
        (wire.ResponseError("NOREPLICAS Not enough good replicas"), BrokerUnavailableError),
        (wire.OutOfMemoryError("command not allowed"), BrokerFullError),
        (wire.ResponseError("OOM command not allowed"), BrokerFullError),
        (wire.AuthenticationError("invalid username-password pair"), BrokerRefusedError),
        (wire.NoPermissionError("no permissions"), BrokerRefusedError),
        (wire.ResponseError("NOPERM no permissions"), BrokerRefusedError),
        (wire.ResponseError("DENIED protected mode"), BrokerRefusedError),
        (wire.ResponseError("unknown command"), BrokerRefusedError),
        (wire.ResponseError("WRONGTYPE"), BrokerRefusedError),
        (ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] x"), BrokerRefusedError),
        (wire.ConnectionError("Error 1: [SSL: CERTIFICATE_VERIFY_FAILED] x"), BrokerRefusedError),
    ],
    ids=repr,
)
def test_an_error_becomes_one_of_the_brokers(error: Exception, expected: type[Exception]) -> None:
    found = translate(error)
    assert type(found) is expected
    assert isinstance(found, BrokerConnectionError)
    assert str(found)


def test_the_brokers_own_errors_and_foreign_ones_stay_as_they_are() -> None:
    for error in (BrokerFullError("x"), ValueError("x"), KeyboardInterrupt()):
        assert translate(error) is error
