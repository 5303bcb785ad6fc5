"""What the autoscaler knows of a queue from one decision to the next lies beside the queue, where the next leader finds it."""

from __future__ import annotations

from typing import Final

from jobyard.broker import JobyardBroker
from jobyard_operator.redis.epoch import write

#: Bytes. It is some hundreds.
LARGEST: Final = 65_536


def remember(broker: JobyardBroker, queue: str, epoch: int, memory: bytes) -> None:
    """Keep it; `Look.memory` tells it.

    Raises:
        Superseded: nothing was written.
        BrokerError: no answer.
        ValueError: it is empty, or larger than `LARGEST`.
    """
    if not 0 < len(memory) <= LARGEST:
        raise ValueError(f"what is to be remembered has 1 to {LARGEST} bytes, not {len(memory)}")
    write(broker, "remember", queue, epoch, memory)
