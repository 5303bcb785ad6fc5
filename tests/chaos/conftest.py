"""Where the chaos happens: a Valkey of the test's own, fleets of real workers on it, a record of all runs, and dice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import dramatiq
import pytest

from chaos.fleet import Fleet
from jobyard.broker import JobyardBroker
from support.servers import Server


class Scene:
    """One test's scene. What isn't used isn't started.

    Attributes:
        dice: fall otherwise in every run; their seed is printed when the test fails.
        record: the file that all jobs write into.
    """

    def __init__(
        self, start: Callable[..., Server], make_broker: Callable[..., JobyardBroker], namespace: str, record: Path
    ) -> None:
        self._start = start
        self._make_broker = make_broker
        self._namespace = namespace
        self._fleets: list[Fleet] = []
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"seed {seed}")
        self.dice = random.Random(seed)
        self.record = record
        self.record.touch()

    @cached_property
    def server(self) -> Server:
        return self._start("valkey", aof=True)

    @cached_property
    def broker(self) -> JobyardBroker:
        return self.broker_at(self.server.url)

    def broker_at(self, url: str) -> JobyardBroker:
        """The broker, perhaps behind a proxy."""
        return self._make_broker(url)

    def fleet(self, url: str | None = None, **options: Any) -> Fleet:
        """Start worker processes."""
        self._fleets.append(Fleet(url or self.server.url, self._namespace, self.record, **options))
        return self._fleets[-1]

    def end(self) -> None:
        for fleet in self._fleets:
            fleet.stop()
            print(fleet.log.read_text()[-3000:])


@pytest.fixture
def scene(
    start_server: Callable[..., Server],
    make_broker: Callable[..., JobyardBroker],
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    monkeypatch.setattr(dramatiq.broker, "global_broker", None)
    made = Scene(start_server, make_broker, namespace, tmp_path / "record")
    yield made
    made.end()
