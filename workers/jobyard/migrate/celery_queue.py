"""A queue of Celery on Redis, as kombu stores it (message protocol 2, which Celery uses since 4.0).

- `QUEUE` LIST of messages as JSON, taken from its tail; the same for each step of priority in `QUEUE\\x06\\x16STEP`. Step 0 is
  the most urgent, and that of messages without a priority.
- `unacked` HASH delivery tag → JSON of message, exchange and routing key: what workers have reserved, of all queues; among it
  the tasks whose `eta` has not come, since a worker waits for it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from jobyard.migrate.inflate import inflate
from jobyard.migrate.plainness import check_plain
from jobyard.migrate.source import IN_FLIGHT, CantMoveError, Entry, ForeignJob, Place, Request, decoded
from jobyard.migrate.timestamps import seconds_of
from jobyard.priority import Priority

_SEPARATOR: Final = "\x06\x16"
_STEPS: Final = range(10)
#: What kombu writes for values that JSON doesn't have.
_TYPED: Final = {"__type__", "__value__"}

_FROM_LIST: Final = """
local found = 0
for _, message in ipairs(ARGV) do
  found = found + redis.call('LREM', KEYS[1], -1, message)
end
return found
"""
_FROM_UNACKED: Final = """
local found = 0
for _, tag in ipairs(ARGV) do
  redis.call('ZREM', KEYS[2], tag)
  found = found + redis.call('HDEL', KEYS[1], tag)
end
return found
"""


class CeleryQueue:
    """A queue with all its priorities.

    Args:
        client: a redis-py client of Celery's Redis.
        request: its prefix is kombu's `global_keyprefix`.
    """

    system = "celery"

    def __init__(self, client: Any, request: Request) -> None:
        self._client = client
        self._request = request
        self._prefix = request.prefix or ""

    def places(self) -> list[Place]:
        queue = self._prefix + self._request.queue
        found: list[Place] = [_Waiting("waiting", self._client, queue, 0, self._request)]
        for step in _STEPS[1:]:
            one = _Waiting(f"waiting, priority {step}", self._client, f"{queue}{_SEPARATOR}{step}", step, self._request)
            if one.count():
                found.append(one)
        found.append(_Reserved(self._client, self._prefix, self._request))
        return found


class _Waiting(Place):
    def __init__(self, label: str, client: Any, key: str, step: int, request: Request) -> None:
        super().__init__(label)
        self._client = client
        self._key = key
        self._step = step
        self._request = request

    def count(self) -> int:
        return int(self._client.llen(self._key))

    def read(self, offset: int, count: int) -> list[Entry]:
        # The tail is taken first.
        messages: list[bytes] = self._client.lrange(self._key, -offset - count, -offset - 1)
        return [_entry(message, message, self._step, self._request) for message in reversed(messages)]

    def remove(self, entries: Sequence[Entry]) -> int:
        return int(self._client.eval(_FROM_LIST, 1, self._key, *(entry.handle for entry in entries)))


class _Reserved(Place):
    """What workers have reserved of one queue. When they stop in order they give it back; after a kill it lies here."""

    def __init__(self, client: Any, prefix: str, request: Request) -> None:
        super().__init__("in flight", stays=None if request.in_flight else IN_FLIGHT)
        self._client = client
        self._keys = (f"{prefix}unacked", f"{prefix}unacked_index")
        self._prefix = prefix
        self._request = request

    def count(self) -> int:
        return sum(1 for _ in self._messages())

    def read(self, offset: int, count: int) -> list[Entry]:
        found = sorted(self._messages())[offset : offset + count]
        return [_entry(tag, json.dumps(message).encode(), _step(message), self._request) for _, tag, message in found]

    def remove(self, entries: Sequence[Entry]) -> int:
        return int(self._client.eval(_FROM_UNACKED, 2, *self._keys, *(entry.handle for entry in entries)))

    def _messages(self) -> Iterator[tuple[float, bytes, Any]]:
        """When it was taken, its tag, and the message, of this queue's."""
        taken = dict(self._client.zrange(self._keys[1], 0, -1, withscores=True))
        routes = self._routes()
        for tag, data in self._client.hscan_iter(self._keys[0], count=100):
            try:
                message, exchange, routing_key = json.loads(data)
            except (ValueError, TypeError, RecursionError):
                continue  # Nobody can tell of which queue it is. It stays.
            if (exchange, routing_key) in routes or (not exchange and routing_key == self._request.queue):
                yield taken.get(tag, 0.0), tag, message

    def _routes(self) -> set[tuple[str, str]]:
        """The exchanges and routing keys that lead to this queue. Celery's default is the queue's name for both."""
        queue = self._request.queue
        found = {(queue, queue)}
        start = f"{self._prefix}_kombu.binding."
        for key in self._client.scan_iter(match=f"{_globless(start)}*", count=1000):
            exchange = key.decode(errors="replace").removeprefix(start)
            for member in self._client.smembers(key):
                parts = member.decode(errors="replace").split(_SEPARATOR)
                if len(parts) == 3 and parts[2] == queue:
                    found.add((exchange, parts[0]))
        return found


def _globless(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in text)


def _step(message: Any) -> int:
    try:
        return min(9, max(0, int(message["properties"]["priority"])))
    except (KeyError, TypeError, ValueError):
        return 0


def _entry(handle: bytes, data: bytes, step: int, request: Request) -> Entry:
    name = "?"
    try:
        envelope = json.loads(data)
        name = str(envelope["headers"]["id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        envelope = None
    return decoded(handle, name, lambda: _job(envelope, step, request))


def _job(envelope: Any, step: int, request: Request) -> ForeignJob:
    if not isinstance(envelope, dict):
        raise CantMoveError("it is no message of kombu with Celery's protocol 2")
    headers, properties = envelope.get("headers"), envelope.get("properties")
    if not isinstance(headers, dict) or not isinstance(properties, dict) or not isinstance(headers.get("task"), str):
        raise CantMoveError("it is no message of Celery's protocol 2")
    kind = envelope.get("content-type")
    if kind != "application/json":
        raise CantMoveError(f"its arguments are {str(kind)[:60]}, and only JSON is read: a pickle could run code")
    args, kwargs, embedded = _body(envelope, headers, properties)
    if not isinstance(embedded, dict):
        embedded = {}
    for part, reason in (
        ("chain", "it is a step of a chain, whose next steps would be lost"),
        ("chord", "it belongs to a chord, whose body would never run"),
        ("callbacks", "it has callbacks (link), which would not be called"),
        ("errbacks", "it has error callbacks (link_error), which would not be called"),
    ):
        if embedded.get(part):
            raise CantMoveError(reason)
    if headers.get("group") and "group" not in request.without:
        raise CantMoveError("it belongs to a group, and somebody may wait for all its results", waiver="group")
    args, kwargs = check_plain(args, kwargs)
    if _has_typed((*args, *kwargs.values())):
        raise CantMoveError("its arguments hold what JSON doesn't have (a datetime, UUID, Decimal or bytes)")
    options: dict[str, Any] = {}
    if step:
        options["priority"] = Priority.NORMAL + step
    limits = headers.get("timelimit")
    limit = next((one for one in reversed(limits) if one), None) if isinstance(limits, list) else None
    if isinstance(limit, int | float):
        options["time_limit"] = int(limit * 1000)
    task_id = str(headers.get("id"))
    return ForeignJob(
        id=task_id,
        origin=f"celery {properties.get('delivery_tag') or task_id}",
        task=headers["task"],
        args=args,
        kwargs=kwargs,
        options=options,
        due_at=seconds_of(headers.get("eta")),
        expires_at=seconds_of(headers.get("expires")),
    )


def _body(envelope: dict[str, Any], headers: dict[str, Any], properties: dict[str, Any]) -> tuple[Any, Any, Any]:
    try:
        body = envelope["body"].encode()
        if str(properties.get("body_encoding") or "").lower() == "base64":
            body = base64.b64decode(body, validate=True)
        compression = headers.get("compression")
        if compression in ("application/x-gzip", "gzip", "zlib"):  # All of them zlib, to kombu.
            body = inflate(body)
        elif compression:
            raise CantMoveError(f"its body is compressed by {str(compression)[:60]}, and only zlib is read")
        args, kwargs, embedded = json.loads(body)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError):
        raise CantMoveError("its body is not that of Celery's protocol 2") from None
    return args, kwargs, embedded


def _has_typed(values: Sequence[Any]) -> bool:
    todo = list(values)
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if value.keys() == _TYPED:
                return True
            todo += value.values()
        elif isinstance(value, list):
            todo += value
    return False
