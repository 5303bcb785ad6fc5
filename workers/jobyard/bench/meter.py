"""What a Redis server says of its own work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reading:
    """The server's counters at one moment.

    Attributes:
        cpu: seconds of CPU that the server has used.
        calls: script calls and blocking waits that clients have sent.
        memory: bytes in use.
    """

    cpu: float
    calls: int
    memory: int


def read(client: Any) -> Reading:
    """Read the counters, through a redis-py client."""
    info = client.info("everything")
    counted = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_blpop")
    return Reading(
        cpu=info["used_cpu_sys"] + info["used_cpu_user"],
        calls=sum(info[name]["calls"] for name in counted if name in info),
        memory=info["used_memory"],
    )
