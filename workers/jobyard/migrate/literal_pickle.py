"""Reading plain values out of a pickle without running anything of it.

A pickle is a program; `pickle.loads` executes it, and whoever can write to Redis could so run code here. This reads its
instructions (with `pickletools`, which only parses) and knows those that build None, truth values, numbers, texts, lists, tuples
and dicts. Whatever names a class or calls something is refused.
"""

from __future__ import annotations

import pickletools
from typing import Any, Final

#: More steps than this are no arguments of a job.
_MOST_STEPS: Final = 1_000_000

_CONSTANTS: Final[dict[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: Final[dict[str, Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
_VALUES: Final = frozenset(
    (
        "INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT",
        "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    )
)  # fmt: skip
_NOTHING: Final = frozenset(("PROTO", "FRAME"))


class NotLiteralError(ValueError):
    """It is no pickle of plain values."""


def load_literal(data: bytes) -> Any:
    """The value that a pickle of plain values stands for.

    Raises:
        NotLiteralError: it is damaged, or holds anything but plain values. What it would do is not done.
    """
    reader = _Reader()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if step >= _MOST_STEPS:
                raise NotLiteralError("it has more than a million steps")
            if opcode.name == "STOP":
                return reader.result()
            reader.follow(opcode.name, argument)
    except NotLiteralError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise NotLiteralError(f"it is damaged: {error}") from None
    raise NotLiteralError("it has no end")


class _Reader:
    """The pickle machine's stack, without the instructions that call anything."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self._stack) != 1 or self._marks:
            raise NotLiteralError("it is damaged: more than one value is left")
        return self._stack[0]

    def follow(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "MARK":
            self._marks.append(len(stack))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self._last(int(name[-1]))))
        elif name in ("TUPLE", "LIST", "DICT"):
            items = self._since_mark()
            stack.append(tuple(items) if name == "TUPLE" else items if name == "LIST" else _dict(items))
        elif name in ("APPEND", "APPENDS"):
            items = self._last(1) if name == "APPEND" else self._since_mark()
            self._top(list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = self._last(2) if name == "SETITEM" else self._since_mark()
            self._top(dict).update(_dict(items))
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name not in _NOTHING:
            raise NotLiteralError(f"it holds more than plain values (instruction {name})")

    def _last(self, count: int) -> list[Any]:
        if len(self._stack) - (self._marks[-1] if self._marks else 0) < count:
            raise NotLiteralError("it is damaged: a value is missing")
        found = self._stack[-count:]
        del self._stack[-count:]
        return found

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        found = self._stack[start:]
        del self._stack[start:]
        return found

    def _top(self, kind: type[Any]) -> Any:
        top = self._stack[-1]
        if type(top) is not kind:
            raise NotLiteralError(f"it is damaged: a {kind.__name__} is missing")
        return top


def _dict(items: list[Any]) -> dict[str, Any]:
    if len(items) % 2:
        raise NotLiteralError("it is damaged: a value is missing")
    # As JSON, any other key would come back as a text, which is not what was sent.
    if not all(isinstance(key, str) for key in items[::2]):
        raise NotLiteralError("it holds a dict with keys that are no texts")
    return dict(zip(items[::2], items[1::2], strict=True))
