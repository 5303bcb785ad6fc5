"""The circuit breakers of a queue, as they stand. The rules are in `lua/include/breakers.lua`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from jobyard.broker.scripts import script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

BreakerState = Literal["closed", "open", "half-open"]

#: A probe waits, or runs, while the others are held.
_STATES: Final[dict[str, BreakerState]] = {
    "closed": "closed", "closing": "closed", "open": "open", "half": "half-open", "probing": "half-open",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Breaker:
    """One dependency of one queue that has failed of late. Those that work are not listed. Times in ms since 1970.

    Attributes:
        state: `open`: no job of it starts; `half-open`: one job tries whether it works again; `closed`: jobs start.
        failures: how many attempts have failed, one after the other.
        held: how many jobs are parked for it.
        since: when it opened; None: it is closed.
        probe_at: open: when one job will try it again.
        last_error: type and message of the last failure that counted; '' where none is known.
        probe: half-open: the id of the job that tries; None: the next one that comes does.
    """

    queue: str
    dependency: str
    state: BreakerState
    failures: int
    held: int
    since: int | None = None
    probe_at: int | None = None
    probe: str | None = None
    last_error: str = ""


class Breakers:
    """What can be asked about breakers, and done with them by hand."""

    def __init__(self, broker: JobyardBroker) -> None:
        self._broker = broker

    def list(self, queue: str) -> list[Breaker]:
        """The dependencies of a queue that have failed of late, sorted by name.

        Raises:
            BrokerError: no answer.
        """
        rows = self._broker.link.call(script("breakers"), self._broker.keys(queue).all)
        return sorted(
            (breaker_of(queue, name.decode(), text.decode(errors="replace"), held) for name, text, held in rows),
            key=lambda one: one.dependency,
        )

    def open(self, queue: str, dependency: str, pause: int) -> None:
        """Start no job of a dependency for so many milliseconds; then one tries it. For maintenance that is known of.

        Raises:
            ValueError: the pause is not more than 0.
        """
        if pause <= 0:
            raise ValueError(f"the pause is in milliseconds and more than 0, not {pause}")
        self._broker.announce([queue])
        self._broker.link.call(script("breaker"), self._broker.keys(queue).all, (dependency, pause))

    def close(self, queue: str, dependency: str) -> bool:
        """Start the jobs of a dependency again, without a probe. False: nothing was held."""
        return bool(self._broker.link.call(script("breaker"), self._broker.keys(queue).all, (dependency, 0)))


def breaker_of(queue: str, dependency: str, text: str, held: int = 0) -> Breaker:
    """A breaker from its record."""
    record, _, last_error = text.partition("\0")
    state, failures, till, _, since, probe = record.split(" ", 5)
    name = _STATES[state]
    return Breaker(
        queue=queue,
        dependency=dependency,
        state=name,
        failures=int(failures),
        held=held,
        since=int(since) if name != "closed" else None,
        probe_at=int(till) if name == "open" else None,
        probe=probe or None,
        last_error=last_error,
    )
