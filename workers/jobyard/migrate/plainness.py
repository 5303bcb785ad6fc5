"""Are arguments such that our queue carries them unchanged?"""

from __future__ import annotations

from typing import Any, Final

from jobyard.migrate.source import CantMoveError

_DEEPEST: Final = 100
_MOST: Final = 1_000_000


def check_plain(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments, as a message has them.

    Raises:
        CantMoveError: they are none, or hold themselves, or so many values (by sharing them) that they can't be written out.
    """
    if (
        not isinstance(args, list | tuple)
        or not isinstance(kwargs, dict)
        or not all(isinstance(key, str) for key in kwargs)
    ):
        raise CantMoveError("its arguments are not a list and a dict")
    left = _MOST
    todo = [(value, 1) for value in (*args, *kwargs.values())]
    while todo:
        value, depth = todo.pop()
        left -= 1
        if depth > _DEEPEST or left < 0:
            raise CantMoveError("its arguments are nested too deeply, or too many")
        if isinstance(value, dict):
            todo += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            todo += [(item, depth + 1) for item in value]
    return tuple(args), kwargs
