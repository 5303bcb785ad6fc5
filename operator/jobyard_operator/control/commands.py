"""Commands that come as annotations of a JobQueue: each value is handled once, and what became of it stands in the status."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from jobyard.errors import JobyardError
from jobyard_operator.control.connections import Connection
from jobyard_operator.control.context import Context, NotLeading
from jobyard_operator.control.times import now
from jobyard_operator.core.commands import ANNOTATIONS, LONGEST, CommandError, is_new, parse
from jobyard_operator.kubernetes.cache import Key
from jobyard_operator.kubernetes.kinds import JOB_QUEUES
from jobyard_operator.redis.dead_letters import run_command
from jobyard_operator.resources.jobqueue import CommandStatus, JobQueue

TAKEN_BACK: Final = "The annotation was taken back or changed before it had ended"

_logger: Final = logging.getLogger(__name__)


class Commands:
    """Those of one JobQueue. A command may take long (a rate, a million letters), so each runs beside the steps."""

    def __init__(self, context: Context, key: Key) -> None:
        self._context, self._key = context, key
        self._running: dict[str, asyncio.Task[None]] = {}
        self._said: dict[str, CommandStatus] = {}
        self._wanted: dict[str, str] = {}

    def stop(self) -> None:
        """Go on with none of them: the JobQueue is being deleted, or gone."""
        self._wanted.clear()

    @property
    def busy(self) -> bool:
        """Whether one is going on: its outcome is to be said soon."""
        return any(not task.done() for task in self._running.values())

    def forget(self) -> None:
        """Another operator may have led in between, or it is another JobQueue: what stands in the status holds."""
        self._said.clear()

    async def step(self, queue: JobQueue, connection: Connection, before: list[CommandStatus]) -> None:
        """Start what is new, go on with what was running when another operator led, and end what was taken back."""
        given = queue.metadata.annotations
        self._wanted = {name: given[name] for name in ANNOTATIONS if name in given}
        known = {one.annotation: one for one in before} | self._said
        for annotation in ANNOTATIONS:
            value = self._wanted.get(annotation)
            last = known.get(annotation)
            task = self._running.get(annotation)
            if task is not None and task.done():
                del self._running[annotation]
                task = None
            if task is not None:
                continue
            if value is None:
                if last is not None and last.outcome == "Running":
                    self._end(annotation, last.token, "Failed", last.changed, f"{TAKEN_BACK}.")
                continue
            if is_new(value, last.token if last is not None else None) or (last and last.outcome == "Running"):
                so_far = last.changed if last is not None and last.token == value[:LONGEST] else 0
                run = self._run(queue, connection, annotation, value, so_far)
                self._running[annotation] = asyncio.create_task(run)

    def statuses(self, before: list[CommandStatus]) -> list[CommandStatus]:
        """What to say of them: what stood there, and what has happened since."""
        merged = {one.annotation: one for one in before} | self._said
        return [merged[name] for name in sorted(merged)]

    async def _run(self, queue: JobQueue, connection: Connection, annotation: str, value: str, changed: int) -> None:
        token = value[:LONGEST]
        self._say(annotation, token, "Running", changed, "It is being carried out.")
        try:
            command = parse(annotation, value)
            epoch = self._context.must_lead()

            def progress(so_far: int) -> None:
                nonlocal changed
                changed = so_far
                self._say(annotation, token, "Running", changed, "It is being carried out.")

            # Beside the few threads that look at queues.
            outcome = await asyncio.to_thread(
                run_command,
                connection.broker,
                queue.spec.queue,
                command,
                uid=queue.metadata.uid,
                annotation=annotation,
                token=token,
                epoch=epoch,
                keep_going=lambda: self._context.leadership.leads and self._wanted.get(annotation) == value,
                progress=progress,
            )
        except CommandError as error:
            self._end(annotation, token, "Failed", 0, str(error))
        except NotLeading:
            self._said.pop(annotation, None)
        except JobyardError as error:
            # What was done stays done, and is counted in Redis: the next step goes on with the rest.
            _logger.warning("JobQueue %s: %s is to be continued: %s", self._key, annotation, error)
            self._say(annotation, token, "Running", changed, f"It goes on when Redis answers: {error}")
            await asyncio.sleep(1)
        else:
            if outcome.finished:
                self._end(annotation, token, "Succeeded", outcome.changed, outcome.message)
            elif self._context.leadership.leads and self._wanted.get(annotation) != value:
                self._end(annotation, token, "Failed", outcome.changed, f"{TAKEN_BACK}: {outcome.message}.")
            else:
                self._said.pop(annotation, None)

    def _say(self, annotation: str, token: str, outcome: str, changed: int, message: str) -> None:
        self._said[annotation] = CommandStatus.model_validate(
            {
                "annotation": annotation,
                "token": token,
                "outcome": outcome,
                "changed": changed,
                "message": message[:1024],
                "finishedTime": None,
            }
        )

    def _end(self, annotation: str, token: str, outcome: str, changed: int, message: str) -> None:
        self._say(annotation, token, outcome, changed, message)
        self._said[annotation] = self._said[annotation].model_copy(update={"finished_time": now()})
        told = self._context.cache.get(JOB_QUEUES, self._key)
        if told is not None:
            reason = {"retry": "DeadLettersRetried", "discard": "DeadLettersDiscarded"}[ANNOTATIONS[annotation]]
            failed = outcome == "Failed"
            self._context.events.say(
                told,
                "CommandFailed" if failed else reason,
                message or f"{changed} jobs",
                action="Command",
                kind="Warning" if failed else "Normal",
            )
