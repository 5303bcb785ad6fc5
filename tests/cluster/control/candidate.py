"""One that takes part in the election, in a thread with an event loop of its own, which can stand still as a process does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path
from typing import Final

from jobyard_operator.kubernetes.api import Api
from jobyard_operator.kubernetes.leadership import Leadership

#: The only one that the chart grants.
LEASE: Final = "jobyard-operator"


class Candidate:
    """Begins at once.

    Args:
        kubeconfig: its access.

    Attributes:
        changes: when (monotonic), whether it led from then on, and with which epoch.
    """

    def __init__(self, kubeconfig: Path, namespace: str, identity: str) -> None:
        self.identity = identity
        self.changes: list[tuple[float, bool, int]] = []
        self._kubeconfig, self._namespace = kubeconfig, namespace
        self._goes_on = threading.Event()
        self._goes_on.set()
        self._began = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name=identity)
        self._thread.start()
        assert self._began.wait(10)

    @property
    def leads(self) -> bool:
        return self.leadership.leads

    @property
    def epoch(self) -> int:
        return self.leadership.epoch

    def freeze(self) -> None:
        """It stands still; its clock goes on."""
        self._goes_on.clear()
        frozen = threading.Event()

        def stand_still() -> None:
            frozen.set()
            self._goes_on.wait()

        self._loop.call_soon_threadsafe(stand_still)
        assert frozen.wait(10)

    def thaw(self) -> None:
        self._goes_on.set()

    def stop(self) -> None:
        """In order."""
        self.thaw()
        with contextlib.suppress(RuntimeError):  # It has ended.
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(15)
        assert not self._thread.is_alive()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        api = await Api.connect(self._kubeconfig)
        self.leadership = Leadership(api, self._namespace, LEASE, self.identity, self._changed)
        self._task = asyncio.create_task(self.leadership.run())
        self._began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await api.close()

    def _changed(self) -> None:
        self.changes.append((time.monotonic(), self.leads, self.epoch))
