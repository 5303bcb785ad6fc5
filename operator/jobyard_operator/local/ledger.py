"""What became of all jobs that were ever accepted: the sum of the ledgers of all queues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jobyard.broker.inspector import QueueStats


@dataclass(frozen=True, slots=True)
class Ledger:
    """Numbers of jobs. `accepted` is the sum of the others, `lost` included, which has to be 0."""

    accepted: int = 0
    completed: int = 0
    cancelled: int = 0
    dead: int = 0
    discarded: int = 0
    waiting: int = 0
    delayed: int = 0
    active: int = 0
    lost: int = 0

    @classmethod
    def of(cls, queues: Iterable[QueueStats]) -> Ledger:
        """The sum over these queues."""
        known = list(queues)
        return cls(
            accepted=sum(one.counts.get("accepted", 0) for one in known),
            completed=sum(one.completed for one in known),
            cancelled=sum(one.cancelled for one in known),
            dead=sum(one.dead for one in known),
            discarded=sum(one.counts.get("discarded", 0) + one.counts.get("evicted", 0) for one in known),
            waiting=sum(one.waiting for one in known),
            delayed=sum(one.delayed + one.parked for one in known),
            active=sum(one.active for one in known),
            lost=sum(one.lost for one in known),
        )

    def __str__(self) -> str:
        """`accepted 21 = completed 20 + dead letters 1; lost 0`."""
        parts = {
            "completed": self.completed,
            "dead letters": self.dead,
            "waiting": self.waiting,
            "delayed": self.delayed,
            "active": self.active,
            "cancelled": self.cancelled,
            "discarded": self.discarded,
        }
        shown = [f"{name} {count:,}" for name, count in parts.items() if count or name == "completed"]
        return f"accepted {self.accepted:,} = {' + '.join(shown)}; lost {self.lost:,}"
