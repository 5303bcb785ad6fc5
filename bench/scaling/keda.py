"""KEDA with an HPA, as a model: written from what their code does, not the programs themselves.

KEDA owns 0 ↔ 1: every `poll` seconds it looks at the list's length; more than nothing sets one replica, nothing for `cooldown`
seconds sets zero. The HPA owns 1 ↔ N: every 15 s it asks for ceil(length / target); a ratio within 10 % is left alone; up by at
most 4 pods or 100 % in 15 s, down to the highest number that it has asked for within `window` seconds.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from fleet import Fleet

HPA_PERIOD: Final = 15.0
TOLERANCE: Final = 0.1


class Keda:
    """One configuration of both.

    Args:
        counts_running: whether the metric has the running jobs as well, which the Redis scaler's own has not.
    """

    spares_busy = False

    def __init__(
        self, *, poll: float, cooldown: float, target: int, window: float, grace: float, counts_running: bool = False
    ) -> None:
        self.grace = grace
        self._poll, self._cooldown, self._target, self._window = poll, cooldown, target, window
        self._counts_running = counts_running
        self._next_poll, self._next_sync = 0.0, 7.0
        self._last_active = -math.inf
        self._asked: deque[tuple[float, int]] = deque()

    def next_look(self, fleet: Fleet) -> float:
        """The next poll of KEDA or the next sync of the HPA."""
        return max(fleet.now, min(self._next_poll, self._next_sync))

    def look(self, fleet: Fleet) -> int:
        """What both make of the number of replicas."""
        replicas = fleet.replicas
        length = len(fleet.waiting) + (fleet.active if self._counts_running else 0)
        if fleet.now >= self._next_poll:
            self._next_poll = fleet.now + self._poll
            if length > 0:
                self._last_active = fleet.now
                replicas = max(replicas, 1)
            elif fleet.now >= self._last_active + self._cooldown:
                replicas = 0
        if fleet.now >= self._next_sync:
            self._next_sync = fleet.now + HPA_PERIOD
            if replicas > 0:
                replicas = self._hpa(fleet, replicas, length)
            else:
                # An HPA whose target has no replicas is switched off, and forgets.
                self._asked.clear()
        return replicas

    def _hpa(self, fleet: Fleet, replicas: int, length: int) -> int:
        ratio = length / (self._target * replicas)
        asked = replicas if abs(ratio - 1) <= TOLERANCE else max(1, math.ceil(length / self._target))
        self._asked.append((fleet.now, asked))
        while self._asked[0][0] < fleet.now - self._window:
            self._asked.popleft()
        if asked > replicas:
            return min(asked, max(replicas + 4, replicas * 2))
        return min(replicas, max(number for _, number in self._asked))


def configurations() -> dict[str, Keda]:
    """KEDA as it comes, as one would tune it, and with a metric that has the running jobs and a long grace period."""
    return {
        "KEDA, defaults": Keda(poll=30, cooldown=300, target=5, window=300, grace=30),
        "KEDA, tuned": Keda(poll=5, cooldown=60, target=8, window=60, grace=30),
        "KEDA, tuned, running jobs counted": Keda(
            poll=5, cooldown=60, target=8, window=60, grace=600, counts_running=True
        ),
    }
