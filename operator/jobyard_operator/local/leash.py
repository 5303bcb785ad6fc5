"""Runs a command that ends when the process which started it ends, however that ends: leash.py PARENT SIGNAL COMMAND…

A script of its own, since only the child itself can ask Linux to be told of its parent's death (PR_SET_PDEATHSIG), and
doing that in a `preexec_fn` would run Python in the forked copy of a process that has threads. The wish outlasts exec.

The kernel watches the thread that started the child: that one has to live as long as the child shall.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
#: Exit status where there is no such program, as shells have it.
CANT_START = 127


def main(parent: int, signal_number: int, command: list[str]) -> None:
    """Run the command in place of this process, unless the parent is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number)
    # It may have died before we asked.
    if os.getppid() != parent:
        return
    try:
        os.execvp(command[0], command)  # noqa: S606 (the command is the caller's own, and no shell reads it)
    except OSError as error:
        sys.stderr.write(f"{command[0]} can't be started: {error.strerror}\n")
        sys.exit(CANT_START)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
