"""What Redis keeps, in this process: keys with their values, and the commands that Jobyard's scripts and clients use.

Arguments are bytes; replies are what redis-py makes of Redis's: bytes, int, None, lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from redis.exceptions import ResponseError

from jobyard.testing.clock import Clock
from jobyard.testing.sorted_set import Row, SortedSet

Value = TypeVar("Value", bytes, list[bytes], set[bytes], dict[bytes, bytes], SortedSet)


class Keyspace:
    """Keys and values. Not thread-safe.

    Args:
        clock: by which keys expire.
        on_publish: called with the channel and the message of each PUBLISH.
    """

    def __init__(self, clock: Clock, on_publish: Callable[[bytes, bytes], None]) -> None:
        self._clock = clock
        self._on_publish = on_publish
        self._values: dict[bytes, Any] = {}
        self._ends: dict[bytes, int] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._ends.clear()

    def execute(self, command: list[bytes]) -> Any:
        """Run one command.

        Raises:
            ResponseError: there is no such command here, or it doesn't fit to the key.
        """
        name, *arguments = command
        run = _COMMANDS.get(name.upper())
        if run is None:
            raise ResponseError(f"ERR unknown command {name.decode()!r} in jobyard.testing")
        return run(self, *arguments)

    # Keys ----------------------------------------------------------------------------------------------------------

    def _read(self, key: bytes, kind: type[Value]) -> Value:
        """The value of a key; an empty one, that is not kept, where there is none."""
        end = self._ends.get(key)
        if end is not None and end <= self._clock.milliseconds:
            self._drop(key)
        value = self._values.get(key)
        if value is None:
            return kind()
        if not isinstance(value, kind):
            raise ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def _keep(self, key: bytes, value: Any) -> None:
        """Keep what has been changed; an empty value is no key."""
        if len(value):
            self._values[key] = value
        else:
            self._drop(key)

    def _drop(self, key: bytes) -> bool:
        self._ends.pop(key, None)
        return self._values.pop(key, None) is not None

    def _exists(self, key: bytes) -> bool:
        end = self._ends.get(key)
        if end is not None and end <= self._clock.milliseconds:
            self._drop(key)
        return key in self._values

    def delete(self, *keys: bytes) -> int:
        return sum(self._exists(key) and self._drop(key) for key in keys)

    def exists(self, *keys: bytes) -> int:
        return sum(map(self._exists, keys))

    def pexpire(self, key: bytes, milliseconds: bytes) -> int:
        if not self._exists(key):
            return 0
        self._ends[key] = self._clock.milliseconds + int(milliseconds)
        return 1

    def persist(self, key: bytes) -> int:
        return int(self._exists(key) and self._ends.pop(key, None) is not None)

    # Texts ---------------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        return self._read(key, bytes) if self._exists(key) else None

    def set(self, key: bytes, value: bytes, *options: bytes) -> bytes | None:
        left = list(options)
        words = [word.upper() for word in left]
        if b"NX" in words and self._exists(key):
            return None
        self._drop(key)
        self._values[key] = value
        if b"PX" in words:
            self.pexpire(key, left[words.index(b"PX") + 1])
        return b"OK"

    # Hashes --------------------------------------------------------------------------------------------------------

    def hget(self, key: bytes, name: bytes) -> bytes | None:
        return self._read(key, dict).get(name)

    def hmget(self, key: bytes, *names: bytes) -> list[bytes | None]:
        fields = self._read(key, dict)
        return [fields.get(name) for name in names]

    def hgetall(self, key: bytes) -> list[bytes]:
        return [part for pair in self._read(key, dict).items() for part in pair]

    def hkeys(self, key: bytes) -> list[bytes]:
        return list(self._read(key, dict))

    def hlen(self, key: bytes) -> int:
        return len(self._read(key, dict))

    def hstrlen(self, key: bytes, name: bytes) -> int:
        return len(self._read(key, dict).get(name, b""))

    def hexists(self, key: bytes, name: bytes) -> int:
        return int(name in self._read(key, dict))

    def hset(self, key: bytes, *pairs: bytes) -> int:
        fields = self._read(key, dict)
        before = len(fields)
        fields.update(zip(pairs[::2], pairs[1::2], strict=True))
        self._keep(key, fields)
        return len(fields) - before

    def hsetnx(self, key: bytes, name: bytes, value: bytes) -> int:
        return 0 if self.hexists(key, name) else self.hset(key, name, value)

    def hincrby(self, key: bytes, name: bytes, by: bytes) -> int:
        value = int(self.hget(key, name) or 0) + int(by)
        self.hset(key, name, b"%d" % value)
        return value

    def hdel(self, key: bytes, *names: bytes) -> int:
        fields = self._read(key, dict)
        gone = sum(fields.pop(name, None) is not None for name in names)
        self._keep(key, fields)
        return gone

    # Sets and lists ------------------------------------------------------------------------------------------------

    def sadd(self, key: bytes, *members: bytes) -> int:
        value = self._read(key, set)
        before = len(value)
        value.update(members)
        self._keep(key, value)
        return len(value) - before

    def srem(self, key: bytes, *members: bytes) -> int:
        value = self._read(key, set)
        before = len(value)
        value.difference_update(members)
        self._keep(key, value)
        return before - len(value)

    def scard(self, key: bytes) -> int:
        return len(self._read(key, set))

    def smembers(self, key: bytes) -> list[bytes]:
        return sorted(self._read(key, set))

    def sismember(self, key: bytes, member: bytes) -> int:
        return int(member in self._read(key, set))

    def lpush(self, key: bytes, *values: bytes) -> int:
        value = self._read(key, list)
        value[:0] = reversed(values)
        self._keep(key, value)
        return len(value)

    def llen(self, key: bytes) -> int:
        return len(self._read(key, list))

    # Sorted sets ---------------------------------------------------------------------------------------------------

    def zadd(self, key: bytes, *pairs: bytes) -> int:
        value = self._read(key, SortedSet)
        new = sum(value.add(member, float(score)) for score, member in zip(pairs[::2], pairs[1::2], strict=True))
        self._keep(key, value)
        return new

    def zrem(self, key: bytes, *members: bytes) -> int:
        value = self._read(key, SortedSet)
        gone = sum(map(value.remove, members))
        self._keep(key, value)
        return gone

    def zcard(self, key: bytes) -> int:
        return len(self._read(key, SortedSet))

    def zscore(self, key: bytes, member: bytes) -> bytes | None:
        return _number(self._read(key, SortedSet).scores.get(member))

    def zmscore(self, key: bytes, *members: bytes) -> list[bytes | None]:
        return [self.zscore(key, member) for member in members]

    def zrank(self, key: bytes, member: bytes) -> int | None:
        return self._read(key, SortedSet).rank(member)

    def zcount(self, key: bytes, low: bytes, high: bytes) -> int:
        return len(self._read(key, SortedSet).by_score(low, high))

    def zlexcount(self, key: bytes, low: bytes, high: bytes) -> int:
        return len(self._read(key, SortedSet).by_member(low, high))

    def zrange(self, key: bytes, first: bytes, last: bytes, *options: bytes) -> list[bytes]:
        return _told(self._read(key, SortedSet).by_rank(int(first), int(last)), options)

    def zrevrange(self, key: bytes, first: bytes, last: bytes, *options: bytes) -> list[bytes]:
        backwards = SortedSet()
        backwards.rows = self._read(key, SortedSet).rows[::-1]
        return _told(backwards.by_rank(int(first), int(last)), options)

    def zrangebyscore(self, key: bytes, low: bytes, high: bytes, *options: bytes) -> list[bytes]:
        return _told(self._read(key, SortedSet).by_score(low, high), options)

    def zrangebylex(self, key: bytes, low: bytes, high: bytes, *options: bytes) -> list[bytes]:
        return _told(self._read(key, SortedSet).by_member(low, high), options)

    def zpopmin(self, key: bytes, count: bytes = b"1") -> list[bytes]:
        rows = self._read(key, SortedSet).by_rank(0, int(count) - 1) if int(count) else []
        self.zrem(key, *(member for _, member in rows))
        return _told(rows, (b"WITHSCORES",))

    def zremrangebyscore(self, key: bytes, low: bytes, high: bytes) -> int:
        return self.zrem(key, *(member for _, member in self._read(key, SortedSet).by_score(low, high)))

    # The server ----------------------------------------------------------------------------------------------------

    def time(self) -> list[bytes]:
        seconds, milliseconds = divmod(self._clock.milliseconds, 1000)
        return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]

    def publish(self, channel: bytes, message: bytes) -> int:
        self._on_publish(channel, message)
        return 0

    def ping(self) -> bytes:
        return b"PONG"

    def info(self, *sections: bytes) -> bytes:
        return b"redis_version:7.2.0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n"


def _number(score: float | None) -> bytes | None:
    """A score as Redis writes it."""
    if score is None:
        return None
    return b"%d" % int(score) if score.is_integer() else repr(score).encode()


def _told(rows: Iterable[Row], options: tuple[bytes, ...]) -> list[bytes]:
    """Rows as a reply: `LIMIT offset count`, `WITHSCORES`."""
    words = [word.upper() for word in options]
    chosen = list(rows)
    if b"LIMIT" in words:
        at = words.index(b"LIMIT")
        offset, count = int(options[at + 1]), int(options[at + 2])
        chosen = chosen[offset:] if count < 0 else chosen[offset : offset + count]
    if b"WITHSCORES" not in words:
        return [member for _, member in chosen]
    return [part for score, member in chosen for part in (member, _number(score) or b"")]


_COMMANDS: Final[dict[bytes, Callable[..., Any]]] = {
    (b"DEL" if name == "delete" else name.upper().encode()): method
    for name, method in vars(Keyspace).items()
    if not name.startswith("_") and name not in ("clear", "execute")
}
