"""All JobQueues and JobSchedules: each has a controller and a task, which steps when its time has come or something happened."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable
from typing import Final

from jobyard.broker.errors import BrokerError
from jobyard.errors import JobyardError
from jobyard_operator.control.connections import Connection
from jobyard_operator.control.context import Context, NotLeading
from jobyard_operator.control.fencing import Fencing
from jobyard_operator.control.memory_use import release_memory
from jobyard_operator.control.queue import QueueController
from jobyard_operator.control.schedule import ScheduleController
from jobyard_operator.control.telemetry import Telemetry
from jobyard_operator.kubernetes.api import ApiError
from jobyard_operator.kubernetes.cache import SPEC_DIGEST, Change, Key
from jobyard_operator.kubernetes.kinds import BUDGETS, DEAD_JOBS, DEPLOYMENTS, JOB_QUEUES, JOB_SCHEDULES, PODS, Kind
from jobyard_operator.redis.epoch import Superseded

#: Steps at the same time.
CONCURRENT: Final = 16
#: Seconds after a step that failed, and at most so many after several.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 15.0
#: Seconds in which several changes are one step.
TOGETHER: Final = 0.05
#: Seconds after which a connection that no JobQueue names is closed.
UNUSED: Final = 300.0

_logger: Final = logging.getLogger(__name__)


Controller = QueueController | ScheduleController


class _Served:
    """A JobQueue or JobSchedule, and the task that steps it."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.wake = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Loop:
    """Hears of changes, and has everything looked after."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._served: dict[tuple[Kind, Key], _Served] = {}
        self._telemetry: dict[Connection, Telemetry] = {}
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._tasks: set[asyncio.Task[None]] = set()
        self.fencing = Fencing(context, self._find, self._queues_of)
        self.stepped_at = time.monotonic()

    def heard(self, change: Change) -> None:
        """Something in the cluster has changed."""
        if change.kind is PODS:
            self.fencing.heard(change)
        if change.kind in (JOB_QUEUES, JOB_SCHEDULES):
            self._begin(change.kind, change.key).wake.set()
            if change.kind is JOB_QUEUES:
                self._wake_schedules(change.key)
            return
        served = self._served.get((JOB_QUEUES, change.queue)) if change.queue is not None else None
        if served is None or not isinstance(served.controller, QueueController):
            return
        if change.kind in (DEPLOYMENTS, BUDGETS) and _spec_changed(change):
            served.controller.children_touched()
        if change.kind is DEAD_JOBS and change.after is None:
            # What went unheard comes back: nobody knows whether it was a person who deleted it.
            served.controller.dead_jobs_touched()
            if not change.unheard:
                self._spawn(self._dead_job_removed(served.controller, change))
        served.wake.set()

    def woken(self, connection: Connection, queue: str) -> None:
        """A queue got its first job; '' means that some may have."""
        for served in self._served.values():
            one = served.controller
            if isinstance(one, QueueController) and one.connection is connection and queue in ("", one.queue_name):
                served.wake.set()

    def lead_changed(self) -> None:
        """This process begins to lead, ceases to, or has another epoch."""
        self._context.metrics.leads.set(self._context.leadership.leads)
        self._context.metrics.epoch.set(self._context.leadership.epoch)
        if not self._context.leadership.leads:
            self._context.metrics.forget_decisions()
        for served in self._served.values():
            served.wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.fencing.run())
                tasks.create_task(self._housekeeping())
        finally:
            ours = [*self._tasks, *(one.task for one in self._served.values() if one.task is not None)]
            for task in ours:
                task.cancel()
            await asyncio.gather(*ours, return_exceptions=True)

    def _begin(self, kind: Kind, key: Key) -> _Served:
        served = self._served.get((kind, key))
        if served is None:
            controller: Controller
            if kind is JOB_QUEUES:
                controller = QueueController(self._context, key, self._telemetry_of)
            else:
                controller = ScheduleController(self._context, key)
            served = self._served[kind, key] = _Served(controller)
            served.task = asyncio.create_task(self._serve(kind, key, served))
            self._count()
        return served

    def _count(self) -> None:
        self._context.metrics.watched.set(sum(kind is JOB_QUEUES for kind, _ in self._served))

    def _wake_schedules(self, queue: Key) -> None:
        """Those that enqueue their jobs there."""
        for (_, key), served in self._served.items():
            one = served.controller
            if isinstance(one, ScheduleController) and key.namespace == queue.namespace and one.queue_ref == queue.name:
                served.wake.set()

    async def _serve(self, kind: Kind, key: Key, served: _Served) -> None:
        failures = 0
        while True:
            await asyncio.sleep(TOGETHER)
            served.wake.clear()
            pause: float | None = LONGEST_PAUSE
            async with self._slots:
                try:
                    began = time.monotonic()
                    pause = await served.controller.step()
                    failures = 0
                    self.stepped_at = time.monotonic()
                    self._context.metrics.steps.observe(self.stepped_at - began)
                except NotLeading:
                    pause = LONGEST_PAUSE
                except Superseded as error:
                    _logger.warning("%s %s: %s", kind.name, key, error)
                    # Either somebody else leads by now, or our epoch becomes a higher one, and that wakes us.
                    self._context.leadership.rise_above(error.seen)
                except (ApiError, BrokerError, JobyardError) as error:
                    failures += 1
                    pause = min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE)
                    self._context.metrics.failed_steps.labels(type(error).__name__).inc()
                    _logger.warning("%s %s: the next try is in %.0f s: %s", kind.name, key, pause, error)
                except Exception:
                    # A fault of ours: it must not keep the others, or this one for ever.
                    failures += 1
                    self._context.metrics.failed_steps.labels("fault").inc()
                    _logger.exception("%s %s could not be looked after", kind.name, key)
            if pause is None:
                del self._served[kind, key]
                self._count()
                metrics = self._context.metrics
                (metrics.forget if kind is JOB_QUEUES else metrics.forget_schedule)(key)
                if self._context.cache.get(kind, key) is not None:
                    self._begin(kind, key)  # It came back meanwhile.
                return
            due = time.monotonic() + pause
            try:
                async with asyncio.timeout(pause):
                    await served.wake.wait()
            except TimeoutError:
                self._context.metrics.lag.observe(time.monotonic() - due)

    def _telemetry_of(self, connection: Connection) -> Telemetry:
        found = self._telemetry.get(connection)
        if found is None:
            found = self._telemetry[connection] = Telemetry(connection)
        return found

    def _find(self, key: Key) -> tuple[Connection, str] | None:
        served = self._served.get((JOB_QUEUES, key))
        one = served.controller if served is not None else None
        if not isinstance(one, QueueController) or one.connection is None:
            return None
        return one.connection, one.queue_name

    def _queues_of(self, connection: Connection, pod: str) -> Iterable[str]:
        work = self._telemetry_of(connection).pods.get(pod)
        return work.queues if work is not None else ()

    async def _dead_job_removed(self, controller: QueueController, change: Change) -> None:
        try:
            await controller.dead_job_removed(change.before or {})
        except NotLeading:
            return  # The leader heard of it, too.
        except (ApiError, JobyardError) as error:
            _logger.warning("JobQueue %s: a removed DeadJob was not looked at: %s", controller.key, error)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(60)
            release_memory()
            for connection in self._context.connections.close_unused(UNUSED):
                self._telemetry.pop(connection, None)


def _spec_changed(change: Change) -> bool:
    """Whether somebody has changed what we apply. Replicas and status are not among it."""
    if change.before is None or change.after is None:
        return change.after is None  # What has come was made by us, or a step finds it.
    before, after = (one["spec"].get(SPEC_DIGEST) for one in (change.before, change.after))
    return bool(before != after or change.before["metadata"].get("labels") != change.after["metadata"].get("labels"))
