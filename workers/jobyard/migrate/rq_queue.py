"""A queue of RQ (1.x to 3.x).

- `rq:queue:NAME` LIST of ids, taken from its head; `rq:queue:NAME:intermediate` LIST of those that a worker is just taking.
- `rq:job:ID` HASH: `data` is zlib of function, instance, args and kwargs, as a pickle or as JSON; and what else is known of it.
- `rq:scheduled:NAME`, `rq:wip:NAME`, `rq:failed:NAME`, `rq:deferred:NAME` ZSETs of ids.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from jobyard.migrate.inflate import inflate
from jobyard.migrate.literal_pickle import NotLiteralError, load_literal
from jobyard.migrate.places import IdList, IdSortedSet
from jobyard.migrate.plainness import check_plain
from jobyard.migrate.source import DEAD_LETTERS, IN_FLIGHT, CantMoveError, Entry, ForeignJob, Place, Request, decoded
from jobyard.migrate.timestamps import seconds_of

_DEFERRED: Final = "they wait for other jobs of RQ, which Jobyard doesn't know: let RQ finish those first"

#: Takes ids out of where they are, and their jobs with them. KEYS 2 is any job's key without its id.
_FROM_LIST: Final = """
local found = 0
for _, id in ipairs(ARGV) do
  if redis.call('LREM', KEYS[1], 1, id) >= 1 then
    redis.call('DEL', KEYS[2] .. string.match(id, '^[^:]*'))
    found = found + 1
  end
end
return found
"""
_FROM_SORTED_SET: Final = _FROM_LIST.replace("'LREM', KEYS[1], 1, id", "'ZREM', KEYS[1], id")

#: Fields of a job's hash that stand for something which would not happen with us.
_REFUSED: Final = {
    "dependency_id": "it depends on another job",
    "dependency_ids": "it depends on another job",
    "success_callback_name": "it has callbacks, which would not be called",
    "failure_callback_name": "it has callbacks, which would not be called",
    "stopped_callback_name": "it has callbacks, which would not be called",
    "webhooks": "it has webhooks, which would not be called",
    "repeats_left": "it is to be repeated: use a schedule for it",
    "rate_limit_key": "it has a limit by key, whose slot RQ counts",
}


class RqQueue:
    """A queue with its registries.

    Args:
        client: a redis-py client of RQ's Redis.
    """

    system = "rq"

    def __init__(self, client: Any, request: Request) -> None:
        self._client = client
        self._request = request
        self._prefix = "rq" if request.prefix is None else request.prefix

    def places(self) -> list[Place]:
        queue = self._request.queue
        in_flight = None if self._request.in_flight else IN_FLIGHT
        dead = None if self._request.dead_letters else DEAD_LETTERS
        jobs = [f"{self._prefix}:job:"]

        def listed(label: str, key: str, stays: str | None = None) -> Place:
            return IdList(label, self._client, key, decode=self._decode, script=_FROM_LIST, more=jobs, stays=stays)

        def sorted_set(label: str, name: str, stays: str | None) -> Place:
            key = f"{self._prefix}:{name}:{queue}"
            decode = {"wip": self._started, "scheduled": self._scheduled(key)}.get(name, self._decode)
            return IdSortedSet(label, self._client, key, decode=decode, script=_FROM_SORTED_SET, more=jobs, stays=stays)

        return [
            listed("in flight, being taken", f"{self._prefix}:queue:{queue}:intermediate", in_flight),
            sorted_set("in flight", "wip", in_flight),
            listed("waiting", f"{self._prefix}:queue:{queue}"),
            sorted_set("delayed", "scheduled", None),
            sorted_set("dead letters", "failed", dead),
            sorted_set("deferred", "deferred", _DEFERRED),
        ]

    def _decode(self, ids: Sequence[bytes], due: Sequence[float | None] | None = None) -> list[Entry]:
        names = [one.decode(errors="replace") for one in ids]
        pipe = self._client.pipeline(transaction=False)
        for name in names:
            key = f"{self._prefix}:job:{name}"
            pipe.hgetall(key)
            pipe.pttl(key)
            pipe.scard(f"{key}:dependents")
        replies = pipe.execute()
        rows = zip(names, replies[::3], replies[1::3], replies[2::3], due or [None] * len(ids), strict=True)
        return [decoded(one, row[0], partial(self._job, *row)) for one, row in zip(ids, rows, strict=True)]

    def _scheduled(self, key: str) -> Callable[[Sequence[bytes]], list[Entry]]:
        def decode(ids: Sequence[bytes]) -> list[Entry]:
            return self._decode(ids, self._client.zmscore(key, ids))

        return decode

    def _started(self, members: Sequence[bytes]) -> list[Entry]:
        # Since version 2, RQ writes job:execution there.
        entries = self._decode([one.partition(b":")[0] for one in members])
        return [replace(entry, handle=member) for entry, member in zip(entries, members, strict=True)]

    def _job(
        self, job_id: str, fields: dict[bytes, bytes], expires_in: int, dependents: int, due: float | None
    ) -> ForeignJob:
        if not fields:
            raise CantMoveError("its job is gone (its ttl has ended); only its id is there")
        for name, reason in _REFUSED.items():
            if fields.get(name.encode(), b"") not in (b"", b"[]", b"0"):
                raise CantMoveError(reason)
        if dependents:
            raise CantMoveError("other jobs of RQ wait for it")
        for name, field, reason in (
            ("group", b"group_id", "it belongs to a group, and somebody may wait for all of it"),
            ("meta", b"meta", "it has meta data, which an actor does not get"),
        ):
            if fields.get(field) and name not in self._request.without:
                raise CantMoveError(reason, waiver=name)
        task, args, kwargs = _call(fields.get(b"data", b""))
        options: dict[str, Any] = {}
        timeout = _number(fields.get(b"timeout"))
        if timeout is not None and timeout > 0:
            options["time_limit"] = timeout * 1000
        retries = _number(fields.get(b"retries_left"))
        if retries is not None:
            options["max_retries"] = retries
        created = seconds_of(fields.get(b"created_at", b"").decode(errors="replace"))
        return ForeignJob(
            id=job_id,
            # A job that was requeued is the same job; enqueued anew under the same id, it is another one.
            origin=f"rq {job_id} {fields.get(b'created_at', b'').decode(errors='replace')}",
            task=task,
            args=args,
            kwargs=kwargs,
            options=options,
            due_at=due,
            # Of a dead letter it would say how long RQ keeps it.
            expires_at=time.time() + expires_in / 1000 if expires_in >= 0 and fields.get(b"ttl") else None,
            created_at=None if created is None else int(created * 1000),
        )


def _call(data: bytes) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    try:
        plain = inflate(data) if data[:1] == b"\x78" else data
        call = load_literal(plain) if plain[:1] == b"\x80" else json.loads(plain)
        name, instance, args, kwargs = call
    except NotLiteralError as error:
        raise CantMoveError(
            f"its arguments are a pickle that is not read, since that could run code: {error}"
        ) from None
    except (ValueError, TypeError, RecursionError):
        raise CantMoveError("its data are neither JSON nor a pickle of plain values") from None
    if instance is not None:
        raise CantMoveError("it calls a method of an object")
    if not isinstance(name, str):
        raise CantMoveError("it names no function")
    return name, *check_plain(args, kwargs)


def _number(text: bytes | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
