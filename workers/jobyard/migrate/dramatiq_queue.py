"""A queue of Dramatiq's own Redis broker (1.x and 2.x).

Its keys, all with the namespace (`dramatiq`) and a colon before them:

- `QUEUE` LIST of ids, and `QUEUE.msgs` HASH id → message as JSON; the same for `QUEUE.DQ`, jobs with an `eta`.
- `__acks__.WORKER.QUEUE` SET of ids that a worker has taken; `__heartbeats__` ZSET worker → when it was last heard of, in ms.
- `QUEUE.XQ` ZSET and `QUEUE.XQ.msgs` HASH: dead letters.

Ids there are of entries: the message's own id stays the same over all retries, an entry's doesn't.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, Final

from jobyard.broker.wishes import OPTIONS
from jobyard.migrate.places import (
    FROM_LIST_AND_HASH,
    FROM_SET_AND_HASH,
    FROM_SORTED_SET_AND_HASH,
    IdList,
    IdSet,
    IdSortedSet,
)
from jobyard.migrate.plainness import check_plain
from jobyard.migrate.source import DEAD_LETTERS, IN_FLIGHT, CantMoveError, Entry, ForeignJob, Place, Request, decoded

#: After so many milliseconds without a sign of it, Dramatiq takes a worker for dead.
_SILENCE: Final = 60_000
#: What belongs to the entry, or to an attempt there, and not to the job.
_NOT_OF_THE_JOB: Final = ("redis_message_id", "eta", "retries", "traceback", "requeue_timestamp")
#: Options that an application's own middleware may have had there, and that would hold a job back here, or end it.
_MEAN_SOMETHING_HERE: Final = OPTIONS | {"idempotency_key"}


class DramatiqQueue:
    """A queue and its delay queue.

    Args:
        client: a redis-py client of Dramatiq's Redis.
    """

    system = "dramatiq"

    def __init__(self, client: Any, request: Request) -> None:
        self._client = client
        self._request = request
        self._prefix = f"{'dramatiq' if request.prefix is None else request.prefix}:"

    def places(self) -> list[Place]:
        found: list[Place] = []
        for name, label in ((self._request.queue, "waiting"), (f"{self._request.queue}.DQ", "delayed")):
            found.append(self._list(label, name))
            found += self._in_flight(label, name)
        dead = f"{self._prefix}{self._request.queue}.XQ"
        found.append(
            IdSortedSet(
                "dead letters", self._client, dead, decode=self._decoder(f"{dead}.msgs"), script=FROM_SORTED_SET_AND_HASH,
                more=[f"{dead}.msgs"], stays=None if self._request.dead_letters else DEAD_LETTERS,
            )
        )  # fmt: skip
        return found

    def _list(self, label: str, name: str) -> Place:
        key, messages = f"{self._prefix}{name}", f"{self._prefix}{name}.msgs"
        return IdList(
            label, self._client, key, decode=self._decoder(messages), script=FROM_LIST_AND_HASH, more=[messages]
        )

    def _in_flight(self, label: str, name: str) -> list[Place]:
        """What workers have taken. Of those that are dead, Dramatiq itself would give it back: so it is moved."""
        messages = f"{self._prefix}{name}.msgs"
        found: list[Place] = []
        now = time.time() * 1000
        for worker, heard in self._client.zrange(f"{self._prefix}__heartbeats__", 0, -1, withscores=True):
            dead = heard < now - _SILENCE
            found.append(
                IdSet(
                    f"{label}, {'left behind by' if dead else 'in flight at'} {worker.decode()}",
                    self._client, f"{self._prefix}__acks__.{worker.decode()}.{name}",
                    decode=self._decoder(messages), script=FROM_SET_AND_HASH, more=[messages],
                    stays=None if dead or self._request.in_flight else IN_FLIGHT,
                )
            )  # fmt: skip
        return [place for place in found if place.count()]

    def _decoder(self, messages: str) -> Any:
        def decode(ids: Sequence[bytes]) -> list[Entry]:
            found = self._client.hmget(messages, ids)
            return [self._entry(one, message) for one, message in zip(ids, found, strict=True)]

        return decode

    def _entry(self, entry_id: bytes, message: bytes | None) -> Entry:
        return decoded(entry_id, entry_id.decode(errors="replace"), lambda: self._job(entry_id, message))

    def _job(self, entry_id: bytes, data: bytes | None) -> ForeignJob:
        if data is None:
            raise CantMoveError("its message is gone; only its id is there")
        try:
            message = json.loads(data)
            options = message["options"]
            job_id, actor = message["message_id"], message["actor_name"]
            created, eta = message["message_timestamp"], options.get("eta")
            kept = {name: value for name, value in options.items() if name not in _NOT_OF_THE_JOB}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise CantMoveError(
                "its message is not Dramatiq's JSON: the application has an encoder of its own"
            ) from None
        if not isinstance(job_id, str) or not isinstance(actor, str):
            raise CantMoveError("its message has no id or actor")
        for name in sorted(_MEAN_SOMETHING_HERE & kept.keys()):
            raise CantMoveError(f"its option {name!r} means something else here")
        if "group_completion_uuid" in kept:
            # The count of what is still to come lies in the application's rate limiter backend.
            if "group" not in self._request.without:
                raise CantMoveError("it belongs to a group with callbacks, which would not be called", waiver="group")
            for name in ("group_completion_uuid", "group_completion_callbacks"):
                kept.pop(name, None)
        args, kwargs = check_plain(message.get("args"), message.get("kwargs"))
        return ForeignJob(
            id=job_id,
            origin=f"dramatiq {entry_id.decode(errors='replace')}",
            task=actor,
            args=args,
            kwargs=kwargs,
            options=kept,
            due_at=eta / 1000 if isinstance(eta, int | float) else None,
            created_at=created if isinstance(created, int) else None,
        )
