"""The two kinds of places that most systems use: a list, and a sorted set, of the ids of jobs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from jobyard.migrate.source import Entry, Place

#: Returns the entries of some ids.
Decode = Callable[[Sequence[bytes]], list[Entry]]


class IdPlace(Place):
    """A place that holds ids.

    Args:
        client: an ordinary redis-py client of the other system's Redis.
        decode: reads their jobs.
        script: removes them in one step: KEYS 1 is `key`; then `more`. ARGV: the ids. Replies how many were still there.
        more: further keys of the script.
    """

    def __init__(
        self,
        label: str,
        client: Any,
        key: str,
        *,
        decode: Decode,
        script: str,
        more: Sequence[str] = (),
        stays: str | None = None,
    ) -> None:
        super().__init__(label, stays=stays)
        self._client = client
        self._key = key
        self._decode = decode
        self._script = script
        self._more = more

    def read(self, offset: int, count: int) -> list[Entry]:
        ids = self._ids(offset, count)
        return self._decode(ids) if ids else []

    def remove(self, entries: Sequence[Entry]) -> int:
        keys = [self._key, *self._more]
        removed = self._client.eval(self._script, len(keys), *keys, *(entry.handle for entry in entries))
        return int(removed)

    @abstractmethod
    def _ids(self, offset: int, count: int) -> list[bytes]: ...


class IdList(IdPlace):
    """A LIST whose head is taken first."""

    def count(self) -> int:
        return int(self._client.llen(self._key))

    def _ids(self, offset: int, count: int) -> list[bytes]:
        found: list[bytes] = self._client.lrange(self._key, offset, offset + count - 1)
        return found


class IdSortedSet(IdPlace):
    """A ZSET, the lowest score first."""

    def count(self) -> int:
        return int(self._client.zcard(self._key))

    def _ids(self, offset: int, count: int) -> list[bytes]:
        found: list[bytes] = self._client.zrange(self._key, offset, offset + count - 1)
        return found


class IdSet(IdPlace):
    """A SET, in some order."""

    def count(self) -> int:
        return int(self._client.scard(self._key))

    def _ids(self, offset: int, count: int) -> list[bytes]:
        found: list[bytes] = sorted(self._client.smembers(self._key))
        return found[offset : offset + count]


#: Takes ids out of a list, from its head, and the messages of those out of a hash.
FROM_LIST_AND_HASH = """
local found = 0
for _, id in ipairs(ARGV) do
  if redis.call('LREM', KEYS[1], 1, id) == 1 then
    redis.call('HDEL', KEYS[2], id)
    found = found + 1
  end
end
return found
"""
FROM_SORTED_SET_AND_HASH = FROM_LIST_AND_HASH.replace("'LREM', KEYS[1], 1, id", "'ZREM', KEYS[1], id")
FROM_SET_AND_HASH = FROM_LIST_AND_HASH.replace("'LREM', KEYS[1], 1, id", "'SREM', KEYS[1], id")
