"""The exit statuses of `jobyard worker`."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What the exit status says to whoever started the worker."""

    #: It was asked to stop: all jobs are finished or given back.
    STOPPED = 0
    #: It was asked to stop, and some process had to be killed or crashed meanwhile. Its jobs run again.
    KILLED = 1
    #: It could not start: something on the command line, in the environment or in the modules is wrong.
    USAGE = 2
    #: It could not start: Redis answers, but refuses us, or has settings under which jobs would get lost.
    REFUSED = 3
    #: Its processes died one after another before any job had ended, and it was not to try for ever.
    CRASHING = 4
