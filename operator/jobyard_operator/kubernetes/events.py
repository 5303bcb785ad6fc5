"""Events: what happened to a resource, for `kubectl describe`. The same one is counted, not written again and again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from datetime import UTC, datetime
from typing import Final, Literal

from jobyard_operator.kubernetes.api import Api, ApiError, Conflict, NotFound, Object
from jobyard_operator.kubernetes.kinds import EVENTS

#: Seconds within which the same event is a series.
SERIES: Final = 600.0
#: Events that wait to be written; more are dropped, since they must not hold up work.
MOST: Final = 1000
#: At most so many a second.
RATE: Final = 10.0
#: Bytes of a note.
LONGEST: Final = 1024
_COMPONENT: Final = "jobyard.dev/operator"

_logger: Final = logging.getLogger(__name__)


class Events:
    """Writes events in the background, at a bounded rate.

    Args:
        identity: of this process.

    Attributes:
        dropped: how many could not be written.
    """

    def __init__(self, api: Api, identity: str) -> None:
        self._api, self._identity = api, identity
        self._waiting: asyncio.Queue[tuple[str, str, Object]] = asyncio.Queue(MOST)
        self._series: dict[str, tuple[float, int]] = {}
        self.dropped = 0

    def say(
        self,
        about: Object,
        reason: str,
        note: str,
        *,
        action: str = "Reconcile",
        kind: Literal["Normal", "Warning"] = "Normal",
    ) -> None:
        """Something happened to an object. Never waits."""
        meta = about["metadata"]
        same = hashlib.sha256("\0".join((meta.get("uid", ""), reason, note)).encode()).hexdigest()[:16]
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        namespace = meta.get("namespace") or "default"
        whole = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.name,
            "metadata": {"name": f"{meta['name'][:200]}.{same}", "namespace": namespace},
            "eventTime": now,
            "type": kind,
            "reason": reason,
            "action": action,
            "note": _cut(note),
            "reportingController": _COMPONENT,
            "reportingInstance": self._identity[:128],
            "regarding": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": meta["name"],
                "namespace": namespace,
                "uid": meta.get("uid", ""),
                "resourceVersion": meta.get("resourceVersion", ""),
            },
        }
        try:
            self._waiting.put_nowait((same, now, whole))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Write them, until cancelled."""
        while True:
            same, now, whole = await self._waiting.get()
            try:
                await self._write(same, now, whole)
            except ApiError as error:
                self.dropped += 1
                _logger.warning("The event %s was not written: %s", whole["reason"], error)
            await asyncio.sleep(1 / RATE)

    async def _write(self, same: str, now: str, whole: Object) -> None:
        meta = whole["metadata"]
        at = time.monotonic()
        self._series = {name: seen for name, seen in self._series.items() if at - seen[0] < SERIES}
        _, count = self._series.get(same, (0.0, 0))
        self._series[same] = (at, count + 1)
        if count:
            series = {"count": count + 1, "lastObservedTime": now}
            try:
                await self._api.patch(EVENTS, meta["namespace"], meta["name"], {"series": series})
                return
            except NotFound:
                pass  # It was removed by its age.
        try:
            await self._api.create(EVENTS, meta["namespace"], whole)
        except Conflict:
            # From before a restart.
            series = {"count": 2, "lastObservedTime": now}
            await self._api.patch(EVENTS, meta["namespace"], meta["name"], {"series": series})


def _cut(note: str) -> str:
    """No longer than the API server takes: it counts bytes."""
    whole = note.encode(errors="replace")
    if len(whole) <= LONGEST:
        return whole.decode()
    return whole[: LONGEST - len("…".encode())].decode(errors="ignore") + "…"
