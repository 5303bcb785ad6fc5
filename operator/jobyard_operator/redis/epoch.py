"""Writing as the operator that leads: a leader that was stopped for a while, and leads no more, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from jobyard.broker import JobyardBroker
from jobyard.broker.scripts import Argument, script
from jobyard.errors import JobyardError


class Superseded(JobyardError):
    """A later leader has written to this queue: whoever gets this leads no more, and must stop to act.

    Attributes:
        epoch: its own. seen: that of the later leader.
    """

    def __init__(self, queue: str, epoch: int, seen: int) -> None:
        super().__init__(f"epoch {epoch} is over: in queue {queue!r}, a leader of epoch {seen} has written")
        self.queue = queue
        self.epoch = epoch
        self.seen = seen


def write(
    broker: JobyardBroker, name: str, queue: str, epoch: int, *arguments: Argument, own: Sequence[bytes] = ()
) -> tuple[int, int]:
    """Run one of the scripts that write, each of which takes the epoch first.

    Args:
        name: the script's.
        own: the script's own keys, before those of the queue.
        epoch: of the leader, not negative; each new leader has a higher one (the transitions of the Lease).

    Returns:
        Two numbers, see the script.

    Raises:
        Superseded: nothing was written.
        BrokerError: it is not known whether it was written. Doing it again is safe.
        ValueError: that can be no epoch.
    """
    if epoch < 0:
        raise ValueError(f"an epoch is not negative, unlike {epoch}")
    first, second = broker.link.call(script(name), (*own, *broker.keys(queue).all), (epoch, *arguments))
    if first == -1:
        raise Superseded(queue, epoch, second)
    return first, second
