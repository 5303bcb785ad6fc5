"""One of several operators acts: whoever holds the Lease. Its epoch goes into everything that is written to Redis.

The official client's election knows no epoch, goes by the wall clock, and doesn't give the Lease back; so it is ours. The
Lease is as other tools know it. A holder that did not renew in time acts no more, also if it merely stood still: `leads` is
asked before each action, and goes by a clock that goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from jobyard_operator.kubernetes.api import Api, ApiError, Conflict, NotFound, Object
from jobyard_operator.kubernetes.kinds import LEASES

#: Seconds for which a Lease is held without being renewed; others wait so long before they take over.
DURATION: Final = 9.0
#: Seconds without a renewal after which the holder acts no more. Well before others may.
DEADLINE: Final = 6.0
#: Seconds between renewals, and between looks of those that wait.
PERIOD: Final = 2.0

_logger: Final = logging.getLogger(__name__)


class Leadership:
    """This process's part in the election.

    Args:
        identity: of this process, as it is written into the Lease; nobody else has the same.
        changed: called when it begins to lead, when it ceases to, and when its epoch becomes another one.

    Attributes:
        epoch: higher than that of everybody who led before; 0: it has not led yet.
        heard: the highest epoch that was heard of.
        holder: the identity of who leads, as far as is known.
    """

    def __init__(
        self, api: Api, namespace: str, name: str, identity: str, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._api, self._namespace, self._name, self._identity = api, namespace, name, identity
        self._changed = changed
        self.epoch = 0
        self._until = 0.0  # monotonic: it leads until then
        # What stood in the Lease last; (): there was none; None: it was not asked for yet …
        self._seen: tuple[object, ...] | None = None
        self._seen_at = 0.0  # … and when that was seen first, by our clock
        self.heard = 0
        self._told: tuple[bool, int] = (False, 0)
        self.holder = ""

    @property
    def leads(self) -> bool:
        """Whether this process may act now."""
        return time.monotonic() < self._until

    def rise_above(self, epoch: int) -> None:
        """A later epoch was found in Redis than ours. Where this process nevertheless holds the Lease (that was deleted, say, or
        the queues were another cluster's before), its epoch becomes higher with the next renewal."""
        self.heard = max(self.heard, epoch)

    async def run(self) -> None:
        """Take part, until cancelled. Then the Lease is given back, so that somebody else can go on at once."""
        try:
            while True:
                try:
                    async with asyncio.timeout(DEADLINE / 2):
                        await self._step()
                except (ApiError, TimeoutError) as error:
                    _logger.warning("The Lease %s could not be asked: %s", self._name, error or "no answer in time")
                self._tell()
                await asyncio.sleep(PERIOD)
        finally:
            await self._give_back()

    async def _step(self) -> None:
        asked = time.monotonic()
        try:
            lease = await self._api.get(LEASES, self._namespace, self._name)
        except NotFound:
            await self._create(asked)
            return
        spec = lease.get("spec") or {}
        self.holder = spec.get("holderIdentity") or ""
        transitions = int(spec.get("leaseTransitions") or 0)
        ours = self.holder == self._identity
        self.rise_above(transitions)
        over = self._is_over((self.holder, spec.get("renewTime"), transitions), spec.get("leaseDurationSeconds"))
        if ours and self.epoch == transitions == self.heard:
            await self._write(lease, transitions, asked, spec.get("acquireTime"))
        elif not self.holder or ours or over:
            # One that bears our name but is not of this process: it is not renewed but taken, with an epoch of its own.
            await self._write(lease, self.heard + 1, asked)
        else:
            self._until = 0.0  # Whoever held it before, it is somebody else's now.

    async def _create(self, asked: float) -> None:
        # Where there has been a Lease, somebody has deleted it, and its holder may not know yet.
        if not self.leads and self._seen is not None and not self._is_over((), None):
            return
        lease = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.name,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._spec(self.heard + 1),
        }
        try:
            await self._api.create(LEASES, self._namespace, lease)
        except Conflict:
            await self._step()  # Somebody was faster; what did they write?
            return
        self._took(self.heard + 1, asked)

    def _is_over(self, said: tuple[object, ...], duration: float | None) -> bool:
        # By our own clock, since when the holder wrote nothing new: clocks of machines differ.
        now = time.monotonic()
        if said != self._seen:
            self._seen, self._seen_at = said, now
        return now >= self._seen_at + float(duration or DURATION)

    async def _write(self, lease: Object, epoch: int, asked: float, acquired: str | None = None) -> None:
        lease["spec"] = {**(lease.get("spec") or {}), **self._spec(epoch, acquired)}
        try:
            await self._api.replace(LEASES, self._namespace, self._name, lease)
        except Conflict:
            return  # Somebody else was faster; the next look tells.
        self._took(epoch, asked)

    def _took(self, epoch: int, asked: float) -> None:
        self.epoch, self._until, self.holder = epoch, asked + DEADLINE, self._identity
        self.rise_above(epoch)

    def _spec(self, epoch: int, acquired: str | None = None) -> Object:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(DURATION),
            "leaseTransitions": epoch,
            "acquireTime": acquired or now,
            "renewTime": now,
        }

    def _tell(self) -> None:
        now = (self.leads, self.epoch)
        if now == self._told:
            return
        before, self._told = self._told, now
        if self.leads:
            _logger.info("%s leads, with epoch %d.", self._identity, self.epoch)
        elif before[0]:
            _logger.warning("%s leads no more.", self._identity)
        self._changed()

    async def _give_back(self) -> None:
        if not self.leads:
            return
        self._until = 0.0
        try:
            async with asyncio.timeout(3):
                lease = await self._api.get(LEASES, self._namespace, self._name)
                if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                    lease["spec"]["holderIdentity"] = ""
                    await self._api.replace(LEASES, self._namespace, self._name, lease)
        except (ApiError, TimeoutError) as error:
            _logger.warning("The Lease %s could not be given back: %s", self._name, error)
