"""The commands of the server in memory answer as a real server's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

import jobyard.broker
from jobyard.testing.clock import Clock
from jobyard.testing.keyspace import _COMMANDS, Keyspace
from jobyard.testing.scripting import Scripting

_names = st.sampled_from([b"a", b"b", b"c", b"d\0x", b"\xff"])
_integers = st.integers(-3, 5).map(lambda number: b"%d" % number)
_scores = st.sampled_from([b"-inf", b"0", b"1", b"1.5", b"2", b"1.0078125", b"1764000000123", b"4611686018427387904"])
_bounds = _scores | _scores.map(lambda score: b"(" + score) | st.just(b"+inf")
_members = st.sampled_from([b"-", b"+", b"[a", b"(b", b"[c", b"(d\0x", b"[\xff"])
_limit = st.one_of(
    st.just([]), st.tuples(st.integers(0, 2), st.integers(-1, 3)).map(lambda at: [b"LIMIT", *(b"%d" % n for n in at)])
)
_with_scores = st.sampled_from([[], [b"WITHSCORES"]])


def _command(name: str, *parts: Any, rest: Any = None) -> Any:
    """Commands of that name, on a key of their kind."""
    more = st.just([]) if rest is None else rest
    return st.tuples(st.just(name.encode()), *parts, more).map(lambda made: [*made[:-1], *made[-1]])


def _some(*parts: Any) -> Any:
    return st.lists(st.tuples(*parts), min_size=1, max_size=4).map(lambda rows: [part for row in rows for part in row])


_text, _hash, _set, _list, _zset = (
    st.sampled_from([kind + b"1", kind + b"2"]) for kind in (b"t", b"h", b"s", b"l", b"z")
)
_any = st.one_of(_text, _hash, _set, _list, _zset)
_commands = st.one_of(
    _command("SET", _text, _names, rest=st.sampled_from([[], [b"NX"], [b"PX", b"60000"], [b"NX", b"PX", b"60000"]])),
    _command("GET", _text),
    _command("DEL", rest=_some(_any)),
    _command("EXISTS", rest=_some(_any)),
    _command("PEXPIRE", _any, st.just(b"60000")),
    _command("PERSIST", _any),
    _command("HSET", _hash, rest=_some(_names, _names)),
    _command("HSETNX", _hash, _names, _names),
    _command("HINCRBY", st.just(b"h3"), _names, _integers),
    _command("HDEL", _hash, rest=_some(_names)),
    _command("HGET", _hash, _names),
    _command("HEXISTS", _hash, _names),
    _command("HLEN", _hash),
    _command("HMGET", _hash, rest=_some(_names)),
    _command("SADD", _set, rest=_some(_names)),
    _command("SREM", _set, rest=_some(_names)),
    _command("SCARD", _set),
    _command("SISMEMBER", _set, _names),
    _command("LPUSH", _list, rest=_some(_names)),
    _command("LLEN", _list),
    _command("ZADD", _zset, rest=_some(_scores, _names)),
    _command("ZADD", st.just(b"z0"), rest=_some(st.just(b"0"), _names)),
    _command("ZREM", _zset, rest=_some(_names)),
    _command("ZCARD", _zset),
    _command("ZSCORE", _zset, _names),
    _command("ZMSCORE", _zset, rest=_some(_names)),
    _command("ZRANK", _zset, _names),
    _command("ZCOUNT", _zset, _bounds, _bounds),
    _command("ZRANGE", _zset, _integers, _integers, rest=_with_scores),
    _command("ZREVRANGE", _zset, _integers, _integers, rest=_with_scores),
    _command("ZRANGEBYSCORE", _zset, _bounds, _bounds, rest=st.builds(lambda a, b: a + b, _with_scores, _limit)),
    _command("ZRANGEBYLEX", st.just(b"z0"), _members, _members, rest=_limit),
    _command("ZLEXCOUNT", st.just(b"z0"), _members, _members),
    _command("ZPOPMIN", _zset, st.sampled_from([b"1", b"2", b"3"])),
    _command("ZREMRANGEBYSCORE", _zset, _bounds, _bounds),
    _command("GET", _hash),  # WRONGTYPE
)


def _answer(execute: Any, command: list[bytes]) -> Any:
    try:
        return execute(command)
    except redis.ResponseError as error:
        return type(error), str(error).partition(" ")[0]


@settings(max_examples=150)
@example(commands=[[b"ZADD", b"z0", b"0", b"a"], [b"ZRANGEBYLEX", b"z0", b"+", b"+"]])
@example(commands=[[b"ZADD", b"z0", b"0", b""], [b"ZLEXCOUNT", b"z0", b"-", b"-"]])
@given(commands=st.lists(_commands, max_size=40))
def test_commands_answer_as_a_real_servers(shared_servers: Any, commands: list[list[bytes]]) -> None:
    here = Keyspace(Clock(), lambda channel, message: None)
    with redis.Redis(port=shared_servers("valkey").port, db=9, protocol=2, single_connection_client=True) as there:
        there.flushdb()
        connection = there.connection
        assert connection is not None
        for command in commands:

            def ask(command: list[bytes]) -> Any:
                connection.send_command(*command)
                return connection.read_response()

            assert _answer(here.execute, command) == _answer(ask, command), command


def test_every_command_of_the_scripts_is_there() -> None:
    folder = Path(jobyard.broker.__file__).parent / "lua"
    used = {
        name
        for path in folder.rglob("*.lua")
        for name in re.findall(r"redis\.call\(\s*'([A-Z]+)'", path.read_text(encoding="utf-8"))
    }
    assert len(used) > 30
    assert used <= {name.decode() for name in _COMMANDS}


def test_scripts_answer_as_a_real_servers(shared_servers: Any) -> None:
    script = b"""#!lua flags=allow-oom
        redis.call('HSET', KEYS[1], 'i', 3, 'f', 1.5, 'big', 4611686018427387904, 't', ARGV[1])
        local record = cjson.decode('{"a":[1,2],"b":"x\\\\u00e9","c":{}}')
        record.n = 7
        return {
          1, 1.9, true, false, redis.call('HGET', KEYS[1], 'none'),
          redis.call('HMGET', KEYS[1], 'i', 'no', 'f', 'big', 't'), redis.call('HSET', KEYS[1], 'x', '1'),
          cjson.decode(cjson.encode(record)).b, record.a[2], {}, 'end', nil, 'unseen',
        }
    """
    keyspace = Keyspace(Clock(), lambda channel, message: None)
    ours = Scripting(keyspace.execute).run(script, [b"scripted"], [b"\xff\0"])
    with redis.Redis(port=shared_servers("valkey").port, db=9, protocol=2) as there:
        there.delete("scripted")
        assert ours == there.eval(script, 1, "scripted", b"\xff\0")
    assert ours[5] == [b"3", None, b"1.5", b"4611686018427387904", b"\xff\0"]


def test_keys_expire_by_the_clock() -> None:
    clock = Clock()
    keyspace = Keyspace(clock, lambda channel, message: None)
    keyspace.execute([b"SET", b"k", b"v", b"PX", b"10"])
    clock.milliseconds += 9
    assert keyspace.execute([b"GET", b"k"]) == b"v"
    clock.milliseconds += 1
    assert keyspace.execute([b"EXISTS", b"k"]) == 0
