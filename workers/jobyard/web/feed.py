"""What open dashboards are told: the numbers of all queues, once a second. One sampler for all who listen, none else.

Each listener gets the newest sample only: one that reads slowly skips some and never makes the others wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Final

from jobyard.web import present
from jobyard.web.desk import Desk
from jobyard.web.problems import Kind, Problem

INTERVAL: Final = 1.0
#: A sample of very many queues takes its time; the sampler then rests so many times as long.
_REST: Final = 10
#: Seconds for which the sampler goes on when nobody listens, so that a page that is loaded anew finds its chart.
_LINGER: Final = 30.0
_KEPT: Final = 300
MOST_LISTENERS: Final = 100

_logger: Final = logging.getLogger("jobyard.web")

Event = tuple[str, dict[str, Any]]


class Feed:
    """Events `stats` (numbers of all queues) and `trouble` (a problem: why there are none)."""

    def __init__(self) -> None:
        self._desk: Desk | None = None
        self._listeners: set[asyncio.Queue[Event | None]] = set()
        self._history: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._newest: Event | None = None
        self._sampler: asyncio.Task[None] | None = None
        self._closed = False

    def serve(self, desk: Desk) -> None:
        """Where samples come from."""
        self._desk = desk

    async def close(self) -> None:
        """End the streams of all listeners."""
        self._closed = True
        for listener in self._listeners:
            _put(listener, None)
        if self._sampler is not None:
            self._sampler.cancel()

    async def listen(self) -> AsyncGenerator[Event]:
        """Events until the feed is closed. The first is `history`: completed and failed jobs a second, so far.

        Raises:
            Problem: too many listen already.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise Problem(Kind.OVERLOADED, f"{MOST_LISTENERS} clients listen already.", headers={"Retry-After": "10"})
        listener: asyncio.Queue[Event | None] = asyncio.Queue(1)
        self._listeners.add(listener)
        try:
            if self._sampler is None or self._sampler.done():
                self._history.clear()
                self._newest = None
                self._sampler = asyncio.create_task(self._sample())
            yield "history", {"interval": INTERVAL, "samples": list(self._history)}
            if self._newest is not None:
                _put(listener, self._newest)
            while not self._closed and (event := await listener.get()) is not None:
                yield event
        finally:
            self._listeners.discard(listener)

    async def _sample(self) -> None:
        assert self._desk is not None
        alone_since: float | None = None
        before: tuple[float, int, int] | None = None
        while not self._closed:
            started = time.monotonic()
            try:
                event, before = await self._look(self._desk, before)
            except Problem as problem:
                event, before = ("trouble", {"title": problem.kind.title, "detail": problem.detail}), None
            except Exception:
                # Whatever it is, those who listen must not be left without a word for good.
                _logger.exception("a sample of the queues failed")
                event, before = ("trouble", {"title": Kind.INTERNAL.title, "detail": "The log says more."}), None
            self._newest = event
            for listener in self._listeners:
                _put(listener, event)
            took = time.monotonic() - started
            alone_since = None if self._listeners else alone_since or started
            if alone_since is not None and started - alone_since > _LINGER:
                return
            await asyncio.sleep(max(INTERVAL - took, _REST * took))

    async def _look(self, desk: Desk, before: tuple[float, int, int] | None) -> tuple[Event, tuple[float, int, int]]:
        ledgers, workers = await desk.ask(lambda desk: (desk.all_stats(), desk.workers()))
        now = time.monotonic()
        queues = [present.queue(ledger) for ledger in ledgers]
        completed = sum(queue.completed for queue in queues)
        # Every dead letter that was ever made: those that are there now become fewer when one is retried.
        failed = sum(ledger.counts.get("failed", 0) for ledger in ledgers)
        rates = {"completed": 0.0, "failed": 0.0}
        if before is not None:
            elapsed = max(0.001, now - before[0])
            rates = {"completed": (completed - before[1]) / elapsed, "failed": (failed - before[2]) / elapsed}
        rates = {name: round(max(0.0, rate), 2) for name, rate in rates.items()}
        self._history.append(rates)
        data = {
            "totals": present.totals(queues).model_dump(),
            "workers": present.worker_counts(workers).model_dump(),
            "queues": [queue.model_dump() for queue in queues],
            "per_second": rates,
        }
        return ("stats", data), (now, completed, failed)


def _put(listener: asyncio.Queue[Event | None], event: Event | None) -> None:
    while not listener.empty():
        listener.get_nowait()
    listener.put_nowait(event)
