"""The register of worker processes: who is there, which queues and actors it serves, and how busy it is.

A worker says every few seconds that it is there; the server's clock decides how long that is true. Entries that have run out
are not shown, and are removed when the next worker starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from jobyard.broker import keys
from jobyard.broker.link import Link
from jobyard.broker.scripts import script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

#: Seconds between two announcements.
INTERVAL: Final = 5.0
#: Seconds for which an announcement is true: two may get lost.
TRUE_FOR: Final = 3 * INTERVAL


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process says of itself.

    Attributes:
        name: of host (or pod) and process, as in a job's history.
        pod: the Kubernetes pod's name; None: it is in none.
        queues: names of the queues that it serves.
        actors: names of the actors that it knows.
        threads: how many jobs it can run at the same time.
        running: the ids of the jobs that it runs.
        draining: it fetches no more, and ends when it has finished what it runs.
        completed, failed: how many runs have ended so since it started; a run that is tried again has failed.
        seconds: what all these runs took together; 0 by a version that doesn't tell.
        started_at: in milliseconds since 1970, by the worker's clock.
        version: of Jobyard.
    """

    name: str
    pod: str | None
    queues: list[str]
    actors: list[str]
    threads: int
    running: list[str]
    draining: bool
    completed: int
    failed: int
    started_at: int
    version: str
    seconds: float = 0.0


class WorkerInfo(Announcement, frozen=True, kw_only=True):
    """A worker process that is there, with what it said last.

    Attributes:
        token: its name in fences; `Job.worker` of a job that it runs.
        seen_at: when it said so, in milliseconds by the server's clock.
        expires_at: until when it is taken to be there.
    """

    token: str
    seen_at: int
    expires_at: int

    @property
    def busy(self) -> int:
        """How many jobs it runs."""
        return len(self.running)

    @property
    def state(self) -> Literal["active", "idle", "draining"]:
        """Whether it runs any job, or is about to end."""
        if self.draining:
            return "draining"
        return "active" if self.running else "idle"


def list_workers(broker: JobyardBroker) -> list[WorkerInfo]:
    """All worker processes that are there, by name.

    Raises:
        BrokerError: no answer.
    """
    reply = broker.link.call(script("workers"), [keys.workers(broker.namespace)])
    found = []
    for token, expires_at, about in zip(reply[::3], reply[1::3], reply[2::3], strict=True):
        try:
            said = _decode(about)
        except msgspec.DecodeError:
            continue  # By a version that is not ours. Who is there is asked for information only.
        found.append(
            WorkerInfo(
                token=token.decode(),
                seen_at=expires_at - int(TRUE_FOR * 1000),
                expires_at=expires_at,
                **msgspec.structs.asdict(said),
            )
        )
    return sorted(found, key=lambda one: (one.name, one.token))


class Register:
    """Where one worker process announces itself. Not thread-safe.

    Args:
        token: its name in fences.
    """

    def __init__(self, broker: JobyardBroker, token: str) -> None:
        self._key = keys.workers(broker.namespace)
        self._token = token
        self._link = Link(broker.server, patience=0)
        self._first = True

    def announce(self, said: Announcement) -> None:
        """Say that it is there, for the next `TRUE_FOR` seconds.

        Raises:
            BrokerError: no answer.
        """
        arguments = (self._token, int(TRUE_FOR * 1000), _encode(said), "1" if self._first else "0")
        self._link.call(script("announce"), [self._key], arguments)
        self._first = False

    def remove(self, token: str | None = None) -> None:
        """This worker (or the one with that token, which is dead) is no longer there.

        Raises:
            BrokerError: no answer.
        """
        self._link.command(b"HDEL", self._key, token or self._token, key=self._key)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Announcement).decode
