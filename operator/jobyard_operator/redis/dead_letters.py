"""Dead letters by kubectl: the newest of a queue, and commands that retry or discard many, each exactly once.

How far a command is lies in Redis, written by the script that moves the letters. So an operator that is killed in the middle
leaves nothing to guess for the one that goes on.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from jobyard.broker import JobyardBroker
from jobyard.broker.filters import JobFilter
from jobyard.broker.inspector import Job
from jobyard.broker.paging import pages
from jobyard.broker.scripts import Argument, script
from jobyard.broker.search import Search
from jobyard_operator.core.commands import DeadCommand
from jobyard_operator.core.deadletters import Letter
from jobyard_operator.redis.epoch import Superseded

#: Letters in one call.
_STEP: Final = 250
#: Seconds of the longest pause of a command that discards slowly. So soon it ends when it shall go on no longer.
_PAUSE: Final = 0.5
_DONE: Final = {"retry": "retried", "discard": "discarded"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command has done.

    Attributes:
        changed: how many dead letters it has retried or discarded, from its beginning on, whoever did it.
        finished: there is nothing left to do. Otherwise it goes on when it is run again.
        message: a sentence for people.
    """

    changed: int
    finished: bool
    message: str


def newest(broker: JobyardBroker, queue: str, count: int) -> list[Letter]:
    """The dead letters of a queue that died last, the newest first. Two calls.

    Raises:
        BrokerError: no answer.
    """
    return [_letter(job) for job in broker.inspector.jobs(queue, "dead", limit=count)] if count > 0 else []


def run_command(
    broker: JobyardBroker,
    queue: str,
    command: DeadCommand,
    *,
    uid: str,
    annotation: str,
    token: str,
    epoch: int,
    keep_going: Callable[[], bool] = lambda: True,
    progress: Callable[[int], None] = lambda changed: None,
) -> Outcome:
    """Retry or discard the dead letters that fit, the oldest first, some in a call. May take long: a second for thousands, or as
    long as the rate of a discard says. (At a rate, what is retried is delayed in Redis.)

    Run again with the same token it goes on where it was, and when it has finished it does nothing more. Letters that died after
    it began are left alone; so are those that somebody else moves meanwhile, and they don't count.

    Args:
        uid, annotation, token: which command it is: the JobQueue's UID, the annotation and its value.
        epoch: of the leader.
        keep_going: asked before each call; when it says no, the outcome is not finished.
        progress: told after each call how many are changed so far.

    Raises:
        Superseded: a later leader has written to this queue.
        BrokerError: no answer. Run it again.
    """
    record = _Record(broker, queue, command, f"{uid} {annotation}", token, epoch)
    state = record.call()
    if not state.ended:
        for ids in _letters(broker, queue, command, state.began):
            left = list(ids)
            while left and (command.limit is None or state.changed < command.limit):
                if not keep_going():
                    return Outcome(state.changed, False, f"{_said(command, state.changed)} so far")
                if state.allowed == 0:
                    # It is discarded at a rate.
                    time.sleep(min(_PAUSE, 1 / (command.rate or 1)))
                    state = record.call()
                    continue
                some, left = left[: state.allowed], left[state.allowed :]
                before = state.changed
                state = record.call(some)
                if state.changed > before:
                    broker.tell_batches(queue)
                    progress(state.changed)
            if command.limit is not None and state.changed >= command.limit:
                break
        state = record.call(ends=True)
    strangers = len(command.ids) - state.changed if command.ids else 0
    more = f"; {strangers} of the ids {_were(strangers)} no dead letters" if strangers else ""
    return Outcome(state.changed, True, _said(command, state.changed) + more)


def move_letter(
    broker: JobyardBroker, queue: str, job_id: str, action: Literal["retry", "discard"], *, died: str, epoch: int
) -> bool:
    """Retry or discard one dead letter, as a DeadJob says. Done again, it does nothing.

    Args:
        died: `Letter.died`. A letter that was retried and has died again since is another one, and is left alone.

    Returns:
        Whether it was there.

    Raises:
        Superseded, BrokerError: as `run_command`.
        ValueError: `died` is no time.
    """
    until = round(datetime.fromisoformat(died).timestamp() * 1000)
    arguments = (epoch, "", until, action, "", "", "", job_id)
    moved = _call(broker, queue, epoch, arguments).changed > 0
    if moved:
        broker.tell_batches(queue)
    return moved


class _State(NamedTuple):
    """How far a command is: when it began in ms, how many it has changed, whether it has ended, how many it may change now."""

    began: int
    changed: int
    ended: int
    allowed: int


class _Record:
    """How far a command is, in Redis."""

    def __init__(
        self, broker: JobyardBroker, queue: str, command: DeadCommand, name: str, token: str, epoch: int
    ) -> None:
        self._broker, self._queue, self._epoch = broker, queue, epoch
        self._head = (epoch, name, hashlib.sha256(token.encode(errors="backslashreplace")).hexdigest()[:32])
        limit, rate = command.limit, command.rate
        self._bounds = (command.action, "" if limit is None else limit, "" if rate is None else str(rate))

    def call(self, ids: Sequence[str] = (), *, ends: bool = False) -> _State:
        """Act on these, if they are dead letters and it may."""
        arguments = (*self._head, *self._bounds, "1" if ends else "", *ids)
        return _call(self._broker, self._queue, self._epoch, arguments)


def _call(broker: JobyardBroker, queue: str, epoch: int, arguments: Iterable[Argument]) -> _State:
    reply = broker.link.call(script("command"), broker.keys(queue).all, arguments)
    if reply[0] == -1:
        raise Superseded(queue, epoch, reply[1])
    return _State(*reply)


def _letters(broker: JobyardBroker, queue: str, command: DeadCommand, began: int) -> Iterator[Sequence[str]]:
    """The ids that are meant, some at a time; some may be no dead letters (any more)."""
    if command.ids:
        yield from pages(command.ids, _STEP)
        return
    last = began if command.older_than is None else began - round(command.older_than * 1000)
    which = JobFilter(
        queue=queue, states=("dead",), actor=command.actor, error=command.error, ended_before=max(0, last + 1)
    )
    for _, jobs in Search(broker).batches(which, ("dead",)):
        yield [job.id for job in jobs]


def _letter(job: Job) -> Letter:
    last = job.last_error
    arguments = None if job.problem is not None else {"args": _plain(job.args), "kwargs": _plain(job.kwargs)}
    return Letter(
        job_id=job.id,
        actor=job.actor,
        died=_moment(job.ended_at or 0),
        attempts=job.attempts,
        error_type=str(last.get("error", "")),
        error_message=str(last.get("message", "")),
        arguments=arguments,
        image=str(last["image"]) if last.get("image") else None,
    )


def _plain(value: Any) -> Any:
    """As JSON can have it. (An encoder of the application may have made anything of the arguments.)"""
    return json.loads(json.dumps(value, default=str, skipkeys=True))


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _said(command: DeadCommand, changed: int) -> str:
    slowly = f", {command.rate:g} a second" if command.rate is not None and changed > 1 else ""
    return f"{_DONE[command.action]} {changed} dead {'letter' if changed == 1 else 'letters'}{slowly}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
