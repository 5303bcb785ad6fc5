"""Runs Jobyard's Lua scripts in this process, on a `Keyspace`, as Redis runs them: the same scripts, so the same broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import ResponseError

try:
    from lupa import LuaError, lua51
except ImportError as missing:  # pragma: no cover - the package is there when the tests run
    raise ImportError("jobyard.testing.MemoryBroker needs Lua: pip install 'jobyard[testing]'") from missing

_PREPARE = b"""
cjson = {}
redis = {}
local execute, decode, encode, size = ...
redis.call = function(...)
  return execute({...}, select('#', ...))
end
cjson.decode, cjson.encode = decode, encode
"""


class Scripting:
    """One Lua.

    Args:
        execute: runs a command.
    """

    def __init__(self, execute: Callable[[list[bytes]], Any]) -> None:
        self._execute = execute
        self._lua = lua51.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        self._programs: dict[bytes, Any] = {}
        self._lua.compile(_PREPARE)(self._call, self._decode, self._encode)

    def run(self, text: bytes, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Any:
        """Run a script. Returns its reply.

        Raises:
            ResponseError: it failed.
        """
        program = self._programs.get(text)
        if program is None:
            # The first line may say `#!lua`, which is no Lua.
            program = self._programs[text] = self._lua.compile(b"--" + text if text.startswith(b"#!") else text)
        scope = self._lua.globals()
        scope[b"KEYS"], scope[b"ARGV"] = self._lua.table_from(keys), self._lua.table_from(arguments)
        try:
            return _reply(program())
        except LuaError as error:
            raise ResponseError(f"ERR {error}") from error

    def _call(self, table: Any, count: int) -> Any:
        return self._into_lua(self._execute([_argument(table[at]) for at in range(1, int(count) + 1)]))

    def _into_lua(self, value: Any) -> Any:
        if value is None:
            return False
        if isinstance(value, list):
            return self._lua.table_from([self._into_lua(one) for one in value])
        return value

    # Of cjson only what the scripts use: records of texts and numbers, and lists of them.

    def _decode(self, text: bytes) -> Any:
        return self._from_json(json.loads(text))

    def _from_json(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._lua.table_from({name.encode(): self._from_json(one) for name, one in value.items()})
        if isinstance(value, list):
            return self._lua.table_from([self._from_json(one) for one in value])
        return value.encode() if isinstance(value, str) else value

    def _encode(self, value: Any) -> bytes:
        return json.dumps(_to_json(value), ensure_ascii=False, separators=(",", ":")).encode()


def _argument(value: Any) -> bytes:
    """What a script gives a command, as Redis takes it."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ResponseError("ERR Lua redis lib command arguments must be strings or integers")
    return b"%d" % value if value == value // 1 and abs(value) < 2**63 else b"%.17g" % value


def _reply(value: Any) -> Any:
    """What a script returns, as a client gets it."""
    if lua51.lua_type(value) == "table":
        found: list[Any] = []
        while (one := value[len(found) + 1]) is not None:
            found.append(_reply(one))
        return found
    if isinstance(value, bool):
        return 1 if value else None
    return int(value) if isinstance(value, float) else value


def _to_json(value: Any) -> Any:
    if lua51.lua_type(value) == "table":
        items = dict(value.items())
        if items and all(isinstance(name, int) for name in items):
            return [_to_json(items[name]) for name in sorted(items)]
        return {name.decode(): _to_json(one) for name, one in items.items()}
    if isinstance(value, bytes):
        return value.decode()
    return int(value) if isinstance(value, float) and value.is_integer() else value
