"""The operator, put together: watches, election, the loop over all JobQueues, probes and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from typing import Final

from kubernetes.aio.config import ConfigException

from jobyard.worker.probes import Probes
from jobyard_operator.control.connections import Connections
from jobyard_operator.control.context import Context
from jobyard_operator.control.loop import Loop
from jobyard_operator.control.memory_use import settle
from jobyard_operator.control.metrics import Metrics
from jobyard_operator.kubernetes.api import Api
from jobyard_operator.kubernetes.cache import Cache
from jobyard_operator.kubernetes.events import Events
from jobyard_operator.kubernetes.leadership import Leadership
from jobyard_operator.kubernetes.watch import RELIST, Watches
from jobyard_operator.settings import Settings

#: Seconds without a whole list of the cluster after which the process is better started again.
DEAF: Final = 3 * RELIST
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_logger: Final = logging.getLogger(__name__)


class CannotStart(Exception):
    """Something about the surroundings is wrong; the message says what."""


class Operator:
    """One operator process. `await Operator(settings).run()`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._began = time.monotonic()
        self._context: Context
        self._watches: Watches

    def stop(self) -> None:
        """End in order: the Lease is given back, so that another operator goes on at once."""
        self._stop.set()

    async def run(self) -> None:
        """Work until stopped.

        Raises:
            CannotStart: there is no way to a cluster, or the port is taken.
        """
        try:
            api = await Api.connect()
        except (ConfigException, OSError) as error:
            raise CannotStart(f"no way to a cluster is known: {error}") from error
        settings = self._settings
        cache = Cache()
        loop: Loop

        def woken(connection: object, queue: str) -> None:
            loop.woken(connection, queue)  # type: ignore[arg-type]

        leadership = Leadership(
            api, settings.lease_namespace, settings.lease_name, settings.identity, lambda: loop.lead_changed()
        )
        connections = Connections(api, woken, settings.secret_age)
        self._context = Context(
            api, cache, connections, leadership, Events(api, settings.identity), Metrics(api.requests)
        )
        loop = Loop(self._context)
        cache.heard = loop.heard
        self._watches = Watches(api, cache, settings.namespaces, self._hear_signals)
        probes = Probes(self, None)
        settle()
        try:
            if settings.port is not None:
                try:
                    _logger.info("Probes and metrics at %s", await probes.start(settings.port))
                except OSError as error:
                    raise CannotStart(f"port {settings.port} can't be had: {error}") from error
            await self._work(loop, leadership)
        finally:
            await probes.stop()
            connections.close()
            await api.close()

    async def _work(self, loop: Loop, leadership: Leadership) -> None:
        self._hear_signals()
        try:
            async with asyncio.TaskGroup() as tasks:
                parts = [
                    tasks.create_task(loop.run(), name="loop"),
                    # Nobody leads who doesn't know yet what there is.
                    tasks.create_task(self._lead(leadership), name="election"),
                    tasks.create_task(self._context.events.run(), name="events"),
                    tasks.create_task(self._watches.run(), name="watches"),
                ]
                await self._stop.wait()
                _logger.info("Stopping.")
                # One after the other: whoever gives the Lease back must not act any more.
                for part in parts:
                    part.cancel()
                    await asyncio.wait([part])
        finally:
            for number in _SIGNALS:
                with contextlib.suppress(ValueError):
                    asyncio.get_running_loop().remove_signal_handler(number)

    def _hear_signals(self) -> None:
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self.stop)

    async def _lead(self, leadership: Leadership) -> None:
        await self._watches.ready.wait()
        await leadership.run()

    # What the probes ask ---------------------------------------------------------------------------------------------

    def complaints(self) -> list[str]:
        """Why this process should be started again."""
        listed = self._watches.listed_at or self._began
        since = time.monotonic() - listed
        return [f"the cluster was not listed for {since:.0f} s"] if since > DEAF else []

    def obstacles(self) -> list[str]:
        """Why it could not take over now."""
        return [] if self._watches.ready.is_set() else ["the cluster was not listed yet"]

    async def metrics(self) -> bytes:
        """Its metrics in Prometheus' text format."""
        metrics = self._context.metrics
        metrics.listed.set(time.monotonic() - (self._watches.listed_at or self._began))
        return metrics.text()
