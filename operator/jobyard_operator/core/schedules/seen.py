"""What Redis knows of a schedule: the ticks that are recorded there. The state that `planning` plans from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

#: What became of a tick. Planned: its job is there and not due yet. The next two have not ended.
State = Literal["Planned", "Waiting", "Running", "Succeeded", "Failed", "Cancelled", "Skipped", "Unknown"]
LIVE: frozenset[State] = frozenset({"Planned", "Waiting", "Running"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One tick, or one run by hand.

    Attributes:
        nominal, due: see `Tick`; of a run by hand both are when it was asked for.
        digest: of what its job was made from (see `planning.digest`).
        token: of the run by hand; '' for a tick.
        ended: when it ended, where that is known.
    """

    nominal: datetime
    due: datetime
    job_id: str
    digest: str
    state: State
    token: str = ""
    ended: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that is recorded of one schedule at one instant.

    Attributes:
        now: the server's time.
        runs: the newest ones, sorted by nominal time. All that have not ended are among them.
        newest: nominal time of the newest tick that is recorded and due; None: none ever was.
        fired, succeeded, failed, cancelled, skipped: counted since it exists.
    """

    now: datetime
    runs: tuple[Recorded, ...] = ()
    newest: datetime | None = None
    fired: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    #: Nominal times up to which nothing is recorded any more, and nothing can be.
    floor: datetime | None = field(default=None)
