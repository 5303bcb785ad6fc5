"""The watches, which are kopf's: every change goes into the cache. Level-triggered, so no handler decides anything.

kopf keeps no state in our objects: no finalizers, no annotations. Objects that went while a watch was broken are missed by
watches, so everything is listed again from time to time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import kopf

from jobyard_operator.core.rendering import QUEUE_LABEL
from jobyard_operator.kubernetes.api import Api, ApiError
from jobyard_operator.kubernetes.cache import Cache
from jobyard_operator.kubernetes.kinds import BUDGETS, DEAD_JOBS, DEPLOYMENTS, JOB_QUEUES, JOB_SCHEDULES, PODS, Kind

#: What is watched, and by which label.
WATCHED: Final[tuple[tuple[Kind, str], ...]] = (
    (JOB_QUEUES, ""),
    (JOB_SCHEDULES, ""),
    (DEAD_JOBS, ""),
    (DEPLOYMENTS, QUEUE_LABEL),
    (BUDGETS, QUEUE_LABEL),
    (PODS, QUEUE_LABEL),
)
#: Seconds between two lists of everything.
RELIST: Final = 300.0
#: Seconds after which a watch that says nothing is made anew.
INACTIVITY: Final = 75.0

_logger: Final = logging.getLogger(__name__)


class _Backoffs:
    """Seconds between tries. There is no last one: with it, kopf would end."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.2, 0.5, 1, 2, 3)
        while True:
            yield 5


class Watches:
    """Fills the cache.

    Args:
        namespaces: to watch; none: all.
        begun: called when kopf has begun: it has taken the process's signals for itself, as nobody can tell it not to.

    Attributes:
        ready: set when everything was listed once.
        listed_at: monotonic time of the last whole list; 0: there was none.
    """

    def __init__(
        self, api: Api, cache: Cache, namespaces: Sequence[str] = (), begun: Callable[[], None] = lambda: None
    ) -> None:
        self._begun = begun
        self._api, self._cache, self._namespaces = api, cache, list(namespaces)
        self.ready = asyncio.Event()
        self.listed_at = 0.0

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            RuntimeError: kopf has ended by itself. It has cancelled all later tasks of this event loop then.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._relist())
            tasks.create_task(self._kopf())

    async def _kopf(self) -> None:
        # It says of each event that it was handled.
        logging.getLogger("kopf").setLevel(logging.WARNING)
        registry = kopf.OperatorRegistry()
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.peering.standalone = True
        # What there is of kinds and namespaces is known; asking for it would need rights on the whole cluster.
        settings.scanning.disabled = True
        settings.networking.request_timeout = 30
        settings.networking.connect_timeout = 5
        settings.networking.error_backoffs = _Backoffs()
        settings.watching.server_timeout = 600
        # Bookmarks come every minute: one that says nothing for longer is dead.
        settings.watching.inactivity_timeout = INACTIVITY
        settings.watching.connect_timeout = 5
        settings.watching.chunk_size = 500
        settings.queueing.worker_limit = 50
        for kind, label in WATCHED:
            self._register(registry, kind)
            if label:
                settings.watching.label_selectors[kind.group, kind.version, kind.plural] = label
        kopf.on.login(registry=registry)(self._login)
        others = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=settings,
            namespaces=self._namespaces,
            clusterwide=not self._namespaces,
            stop_flag=asyncio.Event(),
            # For elections of kopf's own, of which there are none. Otherwise it asks for the user's name; a container's has none.
            identity="jobyard-operator",  # type: ignore[arg-type]  # a NewType that kopf keeps to itself
        )
        self._begun()
        await kopf.run_tasks(tasks, ignored=others)
        raise RuntimeError("the watches have ended")

    def _register(self, registry: kopf.OperatorRegistry, kind: Kind) -> None:
        async def changed(event: kopf.RawEvent, **_: Any) -> None:
            if event["type"] == "DELETED":
                self._cache.remove(kind, dict(event["object"]))
            else:
                self._cache.put(kind, dict(event["object"]))

        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)(changed)

    async def _login(self, **_: Any) -> kopf.ConnectionInfo:
        configuration = self._api.configuration
        bearer = (await configuration.auth_settings()).get("BearerToken")
        scheme, _space, secret = str(bearer["value"] if bearer is not None else "").partition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            scheme=scheme.capitalize() or None,
            token=secret or None,
        )

    async def _relist(self) -> None:
        pause = 1.0
        while True:
            try:
                for kind, label in WATCHED:
                    known = self._cache.keys(kind)
                    everywhere: list[str | None] = [None]
                    found = [
                        {"apiVersion": kind.api_version, "kind": kind.name, **one}
                        for namespace in (self._namespaces or everywhere)
                        async for one in self._api.list(kind, namespace, labels=label)
                    ]
                    self._cache.replace(kind, found, known)
                self.listed_at = time.monotonic()
                self.ready.set()
                pause = RELIST
            except ApiError as error:
                _logger.warning("The cluster could not be listed: %s", error)
                pause = min(2 * pause, 15.0) if pause < RELIST else 2.0
            await asyncio.sleep(pause)
