"""Is this a Redis that can be trusted with jobs? Asked once by every process, before the first job."""

from __future__ import annotations

import logging
from typing import Any, Final, Literal

from jobyard.broker.errors import BrokerRefusedError

Durability = Literal["memory", "aof", "quorum"]

OLDEST: Final = (7, 0)
#: The first that can confirm that a write is on its disk.
CONFIRMING: Final = (7, 2)
_logger = logging.getLogger("jobyard.broker")


def check(info: dict[str, Any], address: str) -> None:
    """Refuse a server that could drop jobs; warn about one that forgets them when it restarts.

    Args:
        info: the reply to INFO.

    Raises:
        BrokerRefusedError: says what to set.
    """
    version = str(info.get("redis_version", "0.0"))
    if _version(version) < OLDEST:
        raise BrokerRefusedError(f"{address} is Redis {version}; Jobyard needs Redis 7.0 or newer, or Valkey.")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise BrokerRefusedError(
            f"{address} may drop jobs when its memory is full, since maxmemory-policy is {policy!r}. "
            "Set it to 'noeviction' (redis.conf, or CONFIG SET maxmemory-policy noeviction)."
        )
    if not int(info.get("aof_enabled", 0)):
        _logger.warning(
            "%s has no append-only file: a restart may lose jobs. Set 'appendonly yes' to keep them.", address
        )


def check_confirming(info: dict[str, Any], address: str) -> None:
    """Refuse a server that can't say when a job is on its disk.

    Raises:
        BrokerRefusedError: says what it lacks.
    """
    version = str(info.get("redis_version", "0.0"))
    if _version(version) < CONFIRMING:
        raise BrokerRefusedError(
            f"durability 'aof' needs WAITAOF, which came with Redis 7.2 and Valkey; {address} is Redis {version}."
        )
    if not int(info.get("aof_enabled", 0)):
        raise BrokerRefusedError(f"durability 'aof' needs an append-only file: set 'appendonly yes' at {address}.")


def confirmation(durability: Durability, replicas: int, timeout: float) -> tuple[bytes | int, ...] | None:
    """The command that waits until a write is durable; None where the write itself is enough.

    Args:
        replicas: how many replicas must have it, for `quorum`.
        timeout: seconds to wait.
    """
    milliseconds = int(timeout * 1000)
    if durability == "aof":
        return b"WAITAOF", 1, 0, milliseconds
    if durability == "quorum":
        return b"WAIT", replicas, milliseconds
    return None


def confirmed(durability: Durability, replicas: int, reply: Any) -> bool:
    """Whether the reply to the confirmation says that the write is durable."""
    if durability == "aof":
        return int(reply[0]) >= 1
    return int(reply) >= replicas


def explain_unconfirmed(error: BrokerRefusedError) -> BrokerRefusedError:
    """The error for a server that can't confirm."""
    return BrokerRefusedError(
        f"this server can't confirm durability 'aof' (WAITAOF needs Redis 7.2 or Valkey, with appendonly yes): {error}"
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])
