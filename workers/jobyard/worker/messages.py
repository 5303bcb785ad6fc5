"""What a supervisor and its children say to each other over a socket pair: msgpack, each message after its length.

The socket is theirs alone. Nothing secret passes it: the supervisor never learns where Redis is.
"""

from __future__ import annotations

import struct
from typing import Final, Literal

import msgspec

_length: Final = struct.Struct("<I")
#: A longer message is a sign that the two don't understand each other.
LONGEST: Final = 64 * 1024 * 1024

#: (queue, actor, outcome, how many runs)
Outcome = tuple[str, str, str, int]
#: (queue, actor, counts by bucket and the sum of seconds; see `tally.py`)
Duration = tuple[str, str, list[float]]


# From the supervisor -----------------------------------------------------------------------------------------------


class Assignment(msgspec.Struct, tag=True, frozen=True):
    """The first message: what the child shall be.

    Attributes:
        version: the supervisor's version of Jobyard. Another one may have been installed since.
        role: `worker`; or `undertaker`: it only carries out `Revoke`s, and ends with `Drain`.
        modules: `package.module` or `package.module:attribute`, in the order in which they are imported.
        path: directories that come first where modules are looked for.
        queues: names; empty: all that the modules declare.
        token: the worker's name in fences.
        grace: seconds that a drain takes at most when nobody says otherwise.
        silence: seconds after which the supervisor takes a child that says nothing for stuck.
    """

    version: str
    role: Literal["worker", "undertaker"]
    modules: list[str]
    path: list[str]
    queues: list[str]
    threads: int
    token: str
    grace: float
    silence: float
    log_format: Literal["text", "json"]
    log_level: str


class Drain(msgspec.Struct, tag=True, frozen=True):
    """Stop fetching, finish what runs, exit. A second one can only shorten the time.

    Attributes:
        seconds: when to give back what still runs; None: never, however long it takes.
    """

    seconds: float | None


class CompletedJob(msgspec.Struct, array_like=True, frozen=True):
    """As `broker.delivery.Completed`."""

    job_id: str
    call: int
    result: bytes


class Revoke(msgspec.Struct, tag=True, frozen=True):
    """A sibling is dead: see to its jobs. Answered by `Revoked` or `NotRevoked`.

    Attributes:
        token: the dead worker's.
        cause: a JSON object that is kept with the attempts.
        started: ids of the jobs that were running; None: not known.
        completed: what it had completed and perhaps not delivered.
    """

    token: str
    cause: bytes
    started: list[str] | None
    completed: list[CompletedJob]


class Ask(msgspec.Struct, tag=True, frozen=True):
    """How are the queues? Answered by `Figures` with the same number, or not at all if that takes too long."""

    number: int


Command = Assignment | Drain | Revoke | Ask


# From a child ------------------------------------------------------------------------------------------------------


class Loaded(msgspec.Struct, tag=True, frozen=True):
    """It has loaded the application: from here on it may hold jobs."""


class Ready(msgspec.Struct, tag=True, frozen=True):
    """It serves these queues."""

    queues: list[str]


class Failed(msgspec.Struct, tag=True, frozen=True):
    """It can't start, and ends.

    Attributes:
        text: why, for people.
        status: the exit status that the supervisor should end with, if trying again can't help; None: it may.
    """

    text: str
    status: int | None


class Report(msgspec.Struct, tag=True, frozen=True):
    """Once a second: how it is, and what it has counted since it started.

    Attributes:
        busy: how many jobs run.
        redis: whether Redis answered when it was last tried; None: not tried yet.
        complaint: why it should be replaced; None: it is well.
        memory: resident bytes.
        stale, evicted: see `tally.py`.
    """

    busy: int
    redis: bool | None
    complaint: str | None
    memory: int
    outcomes: list[Outcome]
    durations: list[Duration]
    stale: int
    evicted: int


class QueueFigures(msgspec.Struct, frozen=True):
    """One queue, as `broker.inspector.QueueStats` has it. `oldest` is in seconds; None: no job waits.

    `breakers` says of each dependency that has failed of late whether its jobs are held.
    """

    queue: str
    waiting: int
    parked: int
    delayed: int
    active: int
    dead: int
    lost: int
    oldest: float | None
    breakers: dict[str, bool] = {}


class Figures(msgspec.Struct, tag=True, frozen=True):
    """The answer to `Ask`; None: Redis is away."""

    number: int
    queues: list[QueueFigures] | None


class Revoked(msgspec.Struct, tag=True, frozen=True):
    """So many jobs of the dead worker went back to their queues, and so many were completed."""

    token: str
    back: int
    completed: int


class NotRevoked(msgspec.Struct, tag=True, frozen=True):
    """It did not work, for now."""

    token: str
    reason: str


class Ended(msgspec.Struct, tag=True, frozen=True):
    """The last message: it holds no job any more, and exits."""


Notice = Loaded | Ready | Failed | Report | Figures | Revoked | NotRevoked | Ended

_encode = msgspec.msgpack.Encoder().encode
_commands: Final[msgspec.msgpack.Decoder[Command]] = msgspec.msgpack.Decoder(Command)
_notices: Final[msgspec.msgpack.Decoder[Notice]] = msgspec.msgpack.Decoder(Notice)


def frame(message: Command | Notice) -> bytes:
    """The message as it goes over the socket."""
    body = _encode(message)
    return _length.pack(len(body)) + body


class Inbox:
    """Puts messages together from the pieces in which a socket brings them."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what has come. Returns the bodies of the messages that are complete now.

        Raises:
            ValueError: this is no message.
        """
        self._data += data
        bodies = []
        while len(self._data) >= _length.size:
            (size,) = _length.unpack_from(self._data)
            if size > LONGEST:
                raise ValueError(f"a message of {size} bytes between supervisor and child")
            end = _length.size + size
            if len(self._data) < end:
                break
            bodies.append(bytes(self._data[_length.size : end]))
            del self._data[:end]
        return bodies


def read_command(body: bytes) -> Command:
    """A message from the supervisor.

    Raises:
        ValueError: it is none.
    """
    return _commands.decode(body)


def read_notice(body: bytes) -> Notice:
    """A message from a child.

    Raises:
        ValueError: it is none.
    """
    return _notices.decode(body)
