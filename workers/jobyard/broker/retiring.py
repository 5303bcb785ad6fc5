"""Workers that shall go: they get no new jobs while it is seen to that they are ended. So nobody has to end a busy one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobyard.broker.scripts import Argument, script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker


def retire(broker: JobyardBroker, queue: str, tokens: Sequence[str], seconds: float = 60.0) -> set[str]:
    """Give workers that run no job of this queue no new ones of it. (Of other queues they get some still.) Done again, it
    lasts longer.

    Args:
        tokens: the workers' names in fences.
        seconds: for so long, by the server's clock. After that they get jobs again by themselves.

    Returns:
        Those that get none now. The others were running jobs at that instant.

    Raises:
        BrokerError: no answer; it may hold all the same.
    """
    if not 0 < seconds <= 86_400:
        raise ValueError(f"seconds: more than 0, and no more than a day; not {seconds}")
    if not tokens:
        return set()
    arguments: list[Argument] = [math.ceil(seconds * 1000), *tokens]
    return {token.decode() for token in broker.link.call(script("retire"), broker.keys(queue).all, arguments)}


def release(broker: JobyardBroker, queue: str, tokens: Sequence[str]) -> int:
    """Give workers new jobs again, at once. Returns how many of them were retired.

    Raises:
        BrokerError: no answer; do it again, or wait until their time is over.
    """
    if not tokens:
        return 0
    keys = broker.keys(queue)
    recalls = [keys.recall(token) for token in tokens]
    released: int = broker.link.call(script("release"), [*keys.all, *recalls], tokens)
    return released
