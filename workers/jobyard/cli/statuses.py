"""The exit statuses of the commands that operate jobs and queues. Programs rely on them."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What the exit status says to whoever ran the command. 0: it is done."""

    #: It was not done, or the answer is no: the job is in another state, it failed, or jobs are lost.
    NO = 1
    #: Something on the command line or in the environment is wrong.
    USAGE = 2
    #: Redis can't be reached, or refuses us.
    REDIS = 3
    #: There is no such job or queue.
    UNKNOWN = 4
    #: It did not happen in time.
    TIMEOUT = 5
