"""What everything in this package works with."""

from __future__ import annotations

from dataclasses import dataclass

from jobyard_operator.control.connections import Connections
from jobyard_operator.control.metrics import Metrics
from jobyard_operator.kubernetes.api import Api
from jobyard_operator.kubernetes.cache import Cache
from jobyard_operator.kubernetes.events import Events
from jobyard_operator.kubernetes.leadership import Leadership


class NotLeading(Exception):
    """This process may not act (any more)."""


@dataclass(frozen=True, slots=True)
class Context:
    """One for the whole process."""

    api: Api
    cache: Cache
    connections: Connections
    leadership: Leadership
    events: Events
    metrics: Metrics

    def must_lead(self) -> int:
        """The epoch, to write with. Asked right before each action.

        Raises:
            NotLeading.
        """
        if not self.leadership.leads:
            raise NotLeading
        return self.leadership.epoch
