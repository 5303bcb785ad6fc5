"""One JobSchedule: a step sees what is recorded, plans the next ticks into Redis, and says so. Steps may come at any time."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Final

import pydantic

from jobyard.broker import JobyardBroker
from jobyard.broker.errors import BrokerError
from jobyard_operator.control.connections import Connection, NeedsChange
from jobyard_operator.control.context import Context
from jobyard_operator.core.schedules import Missed, Plan, ScheduleError, Seen, is_news, new_status, plan, taken_back
from jobyard_operator.core.schedules.commands import RUN_NOW, handled, new_commands
from jobyard_operator.kubernetes.api import NotFound, Object
from jobyard_operator.kubernetes.cache import Key
from jobyard_operator.kubernetes.kinds import JOB_QUEUES, JOB_SCHEDULES
from jobyard_operator.redis import schedules
from jobyard_operator.redis.epoch import Superseded
from jobyard_operator.resources.jobqueue import JobQueue
from jobyard_operator.resources.jobschedule import JobSchedule, JobScheduleStatus

#: Seconds until the next step at the latest: runs end meanwhile, and the status shows it; …
LONGEST_PAUSE: Final = 30.0
#: … at the soonest; …
SHORTEST_PAUSE: Final = 0.5
#: … while a run has not ended; and after something that has to be changed, or that Redis must come back for.
LIVE_PAUSE: Final = 5.0

_logger: Final = logging.getLogger(__name__)


class ScheduleController:
    """The controller of one JobSchedule."""

    def __init__(self, context: Context, key: Key) -> None:
        self.key = key
        self.connection: Connection | None = None
        self.queue_ref = ""
        self._context = context
        self._known: tuple[str, JobSchedule] | None = None
        self._status: tuple[str, JobScheduleStatus] | None = None  # as we wrote it last, since the watch is behind
        self._planned: tuple[Connection, str, str] | None = None  # where ticks of this schedule are, and its UID
        self._problem: str | None = None

    async def step(self) -> float | None:
        """Observe, plan, apply, and say. Returns the seconds until the next step; None: the JobSchedule is gone.

        Raises:
            NotLeading, Superseded: this process acts no more.
            ApiError, BrokerError: the next step goes on.
        """
        epoch = self._context.must_lead()
        told = self._context.cache.get(JOB_SCHEDULES, self.key)
        if told is None:
            await self._forget(epoch)
            return None
        try:
            schedule = self._parsed(told)
        except pydantic.ValidationError as error:
            _logger.error("JobSchedule %s is not as its schema says; is an older CRD installed? %s", self.key, error)
            return LONGEST_PAUSE
        self.queue_ref = schedule.spec.queue_ref.name
        try:
            self.connection, queue = await self._queue(schedule)
        except NeedsChange as change:
            await self._write(told, schedule, new_status(schedule, None, None, problem=str(change)))
            return LIVE_PAUSE
        place = (self.connection, queue, schedule.metadata.uid)
        if self._planned is not None and self._planned != place:
            await self._forget(epoch)
        elif schedule.status.queue not in (None, queue):
            # It was moved while another one led.
            self._planned = (self.connection, str(schedule.status.queue), schedule.metadata.uid)
            await self._forget(epoch)
        self._planned = place
        return await self._with_redis(told, schedule, self.connection, queue, epoch)

    async def _with_redis(
        self, told: Object, schedule: JobSchedule, connection: Connection, queue: str, epoch: int
    ) -> float:
        ask, uid = connection.call, schedule.metadata.uid
        made: Plan | None = None
        problem: str | None = None
        try:
            schedule = await self._commanded(told, schedule, connection, queue, epoch)
            seen = await ask(schedules.observe, queue, uid)
            try:
                made = plan(schedule, seen)
                if made.effects:
                    self._context.must_lead()
                    await ask(schedules.apply, queue, epoch, schedule, made.effects)
            except ScheduleError as error:
                problem, made = str(error), None
                self._context.must_lead()
                await ask(schedules.apply, queue, epoch, schedule, taken_back(seen))
            if made is None or made.effects:
                seen = await ask(schedules.observe, queue, uid)
        except Superseded:
            raise
        except BrokerError as error:
            await self._write(told, schedule, new_status(schedule, None, None, error=str(error)))
            return LIVE_PAUSE
        await self._write(told, schedule, new_status(schedule, seen, made, queue=queue, problem=problem))
        self._say(told, made, problem)
        if made is None:
            return LONGEST_PAUSE
        return _pause(made, seen)

    async def _queue(self, schedule: JobSchedule) -> tuple[Connection, str]:
        name = schedule.spec.queue_ref.name
        found = self._context.cache.get(JOB_QUEUES, Key(self.key.namespace, name))
        if found is None:
            raise NeedsChange(f"there is no JobQueue {name}: create it, or name another one in queueRef")
        try:
            queue = JobQueue.parse(found)
        except pydantic.ValidationError as error:
            raise NeedsChange(f"the JobQueue {name} is not as its schema says") from error
        connection, _ = await self._context.connections.of(queue)
        return connection, queue.spec.queue

    async def _commanded(
        self, told: Object, schedule: JobSchedule, connection: Connection, queue: str, epoch: int
    ) -> JobSchedule:
        """Carry out commands that came by annotation. Returns the schedule with what became of them in its status."""
        for command in new_commands(schedule):
            job_id: str | None = None
            problem: str | None = None
            if command.annotation == RUN_NOW:
                self._context.must_lead()
                try:
                    job_id = await connection.call(schedules.run_now, queue, epoch, schedule, command.token)
                except ScheduleError as error:
                    problem = str(error)
            status = handled(schedule.status, command, datetime.now(UTC), job_id=job_id, problem=problem)
            schedule = schedule.model_copy(update={"status": status})
            reason = "RunNow" if command.annotation == RUN_NOW else "Resumed"
            (said,) = (one.message for one in status.commands if one.annotation == command.annotation)
            self._context.events.say(
                told,
                "CommandFailed" if problem else reason,
                said,
                action="Command",
                kind="Warning" if problem else "Normal",
            )
        return schedule

    async def _forget(self, epoch: int) -> None:
        if self._planned is None:
            return  # Ticks that another leader has planned are found by `sweep`.
        connection, queue, uid = self._planned
        self._context.must_lead()
        await connection.call(schedules.forget, queue, epoch, uid)
        self._planned = None

    async def _write(self, told: Object, schedule: JobSchedule, status: JobScheduleStatus) -> None:
        before = self._status[1] if self._status is not None and self._status[0] == schedule.metadata.uid else None
        self._context.metrics.scheduled(self.key, status)
        stands = before if before is not None else JobSchedule.parse(told).status
        if not is_news(stands, status):
            return
        self._context.must_lead()
        body = {"status": status.model_dump(mode="json", by_alias=True, exclude_none=True)}
        try:
            await self._context.api.patch(JOB_SCHEDULES, self.key.namespace, self.key.name, body, subresource="status")
        except NotFound:
            return
        self._status = schedule.metadata.uid, status

    def _parsed(self, told: Object) -> JobSchedule:
        version = told["metadata"]["resourceVersion"]
        if self._known is None or self._known[0] != version:
            self._known = version, JobSchedule.parse(told)
        schedule = self._known[1]
        if self._status is not None and self._status[0] == schedule.metadata.uid:
            return schedule.model_copy(update={"status": self._status[1]})
        return schedule

    def _say(self, told: Object, made: Plan | None, problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            self._context.events.say(told, "NeedsChange", problem, kind="Warning")
        self._problem = problem
        for effect in made.effects if made is not None else ():
            if isinstance(effect, Missed):
                ticks = "1 tick was" if effect.count == 1 else f"{effect.count} ticks were"
                note = f"{ticks} missed, the last at {effect.last:%Y-%m-%dT%H:%M:%SZ}."
                self._context.events.say(told, "TicksMissed", note, kind="Warning")


async def sweep(context: Context, connection: Connection, queue: str, epoch: int) -> None:
    """Take back the ticks of schedules that were deleted while nobody was looking.

    Raises:
        NotLeading, Superseded, BrokerError.
    """
    known = {one["metadata"].get("uid") for one in context.cache.all(JOB_SCHEDULES)}
    for uid in await connection.call(_uids, queue):
        if uid not in known:
            context.must_lead()
            await connection.call(schedules.forget, queue, epoch, uid)


def _uids(broker: JobyardBroker, queue: str) -> list[str]:
    return broker.schedules.uids(queue)


def _pause(made: Plan, seen: Seen) -> float:
    until = made.again.timestamp() - time.time()
    live = any(run.state in ("Waiting", "Running") for run in seen.runs)
    return max(SHORTEST_PAUSE, min(until, LIVE_PAUSE if live else LONGEST_PAUSE))
