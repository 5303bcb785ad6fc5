"""What can go wrong between a client and Redis, as four errors that say what to do.

All are `dramatiq.errors.BrokerConnectionError`s, so that programs and middleware written for Dramatiq catch them.
"""

from __future__ import annotations

from typing import Final

import redis.exceptions as wire
from dramatiq.errors import BrokerConnectionError

from jobyard.errors import JobyardError


class BrokerError(JobyardError, BrokerConnectionError):
    """Base class of the broker's errors."""

    def __init__(self, message: str) -> None:
        self.message = message


class BrokerUnavailableError(BrokerError):
    """Redis didn't answer in time, is loading, or fails over. It is worth trying again; nothing was decided."""


class BrokerRefusedError(BrokerError):
    """Redis answers, but refuses us: wrong password, missing permission, unsuitable settings, a command that it doesn't
    know, a certificate that can't be trusted. Trying again doesn't help; somebody must act."""


class BrokerFullError(BrokerError):
    """Redis is out of memory and accepts no new jobs. Workers go on and make room."""


#: All that redis-py raises. (Its cluster client has an error that is no RedisError.)
WIRE_ERRORS: Final = (wire.RedisError, wire.RedisClusterException, OSError)

#: Replies that a server gives while it starts or fails over: it will be well again without our doing.
_PASSING = (
    "LOADING",
    "READONLY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "UNBLOCKED",
    "BUSY",
    "UNKILLABLE",
    "NOREPLICAS",
)
_REFUSING = ("NOAUTH", "WRONGPASS", "NOPERM", "DENIED")


def translate(error: BaseException) -> BaseException:
    """The broker's error for an error of redis-py or of the socket; anything else comes back as it is."""
    if isinstance(error, BrokerError):
        return error
    text = str(error)
    if isinstance(error, wire.OutOfMemoryError) or text.startswith("OOM"):
        return BrokerFullError(f"Redis is out of memory (raise maxmemory, or let workers catch up): {text}")
    # Before ConnectionError, since redis-py derives its authentication errors from that.
    if isinstance(error, wire.AuthenticationError | wire.AuthorizationError | wire.NoPermissionError):
        return BrokerRefusedError(f"Redis refuses the user or password (check the URL and the ACL): {text}")
    if text.startswith(_REFUSING):
        return BrokerRefusedError(f"Redis refuses the command (check the ACL): {text}")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return BrokerRefusedError(f"the server's certificate can't be trusted (check ssl_ca_certs): {text}")
    if isinstance(error, wire.ConnectionError | wire.TimeoutError | OSError):
        return BrokerUnavailableError(f"no connection to Redis: {text or type(error).__name__}")
    if isinstance(error, wire.RedisClusterException):
        return BrokerUnavailableError(f"no connection to the Redis Cluster: {text}")
    if isinstance(error, wire.ReadOnlyError | wire.TryAgainError | wire.ClusterDownError | wire.MasterDownError):
        return BrokerUnavailableError(f"Redis is failing over: {text}")
    if isinstance(error, wire.ResponseError):
        if text.startswith(_PASSING):
            return BrokerUnavailableError(f"Redis is not ready: {text}")
        return BrokerRefusedError(f"Redis rejects the command: {text}")
    return error
