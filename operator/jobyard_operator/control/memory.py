"""What a queue's controller remembers, in Redis beside the queue: the next leader goes on where this one stopped."""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass, field
from typing import Final

from jobyard_operator.core.crash_loops import Hold
from jobyard_operator.core.observation import Memory

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """All of it.

    Attributes:
        starts: cold starts of the last pods, in seconds.
    """

    memory: Memory = field(default_factory=Memory)
    starts: tuple[float, ...] = ()
    hold: Hold | None = None

    def encode(self) -> bytes:
        """As JSON; some hundreds of bytes."""
        whole = {
            "memory": dataclasses.asdict(self.memory),
            "starts": [round(one, 2) for one in self.starts],
            "hold": dataclasses.asdict(self.hold) if self.hold is not None else None,
        }
        return json.dumps(whole, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, stored: bytes | None) -> Remembered:
        """What was encoded. What can't be read is forgotten: the autoscaler then begins anew, holding what runs for a while."""
        if stored is None:
            return cls()
        try:
            whole = json.loads(stored)
            hold = whole.get("hold")
            return cls(
                memory=Memory.from_json(whole["memory"]),
                starts=tuple(float(one) for one in whole.get("starts", ())),
                hold=Hold(**hold) if hold is not None else None,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _logger.warning("What was remembered of a queue can't be read, and is forgotten: %r", error)
            return cls()
