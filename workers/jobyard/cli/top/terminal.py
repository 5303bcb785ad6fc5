"""Single keys from a terminal, which is given back as it was."""

from __future__ import annotations

import os
import re
import select
import termios
import tty
from typing import Any, Final, Self

#: What terminals send for keys that are no letters.
_SEQUENCES: Final = {b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down"}
#: One key: a sequence of the kinds that keyboards send, or one byte.
_key: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|.", re.DOTALL)


class Keys:
    """Reads keys as they are pressed, without Enter and without showing them. Ctrl-C still interrupts.

    Args:
        descriptor: of the terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: Any = None
        self._pressed = b""

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *exception: object) -> None:
        # What was typed meanwhile is not meant for the shell.
        termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)

    def read(self, seconds: float) -> str | None:
        """The next key, as a letter or as `up` or `down`; None: none came in time, or one that means nothing. `q` at the end."""
        if not self._pressed:
            ready, _, _ = select.select([self._descriptor], [], [], seconds)
            if not ready:
                return None
            self._pressed = os.read(self._descriptor, 1024)
        if not self._pressed:
            return "q"  # The terminal has gone.
        found = _key.match(self._pressed)
        assert found is not None  # It matches any byte.
        self._pressed = self._pressed[found.end() :]
        key = found[0]
        if key[:1] == b"\x1b":
            return _SEQUENCES.get(key)
        return key.decode("ascii", "replace").lower()
