"""Worker processes by their pod: who is there, and what happens to their jobs when the pod is gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from jobyard.broker import keys
from jobyard.broker.caller import pod_prefix, started_at
from jobyard.broker.fingerprint import WORKER_DIED
from jobyard.broker.scripts import script

if TYPE_CHECKING:
    from jobyard.broker.broker import JobyardBroker

#: Why a worker is lost, as the `error` of an attempt: its memory limit, a crash, an eviction by the node or for another pod,
#: somebody has deleted the pod, the node is gone.
OOM_KILLED: Final = "OOMKilled"
LOSSES: Final = (OOM_KILLED, WORKER_DIED, "Evicted", "PodDeleted", "NodeLost")


def fence(
    broker: JobyardBroker,
    pod: str,
    cause: bytes,
    *,
    counts: bool,
    started_before: int | None = None,
    queues: Iterable[str] | None = None,
) -> tuple[int, int]:
    """A pod is gone: the jobs of all its worker processes run again at once, and what such a process still says of them changes
    nothing. Doing it again does nothing more.

    Args:
        pod: its name, as the processes had it in JOBYARD_POD_NAME.
        cause: a JSON object that is kept with the attempt of each job.
        counts: the attempts count. Otherwise the jobs return to their places, as if they had not run; the cause is kept.
        started_before: only processes that started before this time, in ms since 1970 by their own clock: the pod itself lives
            on, and has others by now.
        queues: where they may have jobs; None: in all queues of the namespace.

    Returns:
        How many processes, of which anything was known, and how many jobs that were.

    Raises:
        BrokerError: it is perhaps done for some queues only. Do it again.
    """
    prefix = pod_prefix(pod)
    arguments = (prefix, "" if started_before is None else started_before, cause, "1" if counts else "0")
    found: set[bytes] = set()
    jobs = 0
    for name in broker.inspector.queues() if queues is None else queues:
        moved, *tokens = broker.link.call(script("fence"), broker.keys(name).all, arguments)
        found.update(tokens)
        jobs += moved
        if moved:
            broker.tell_batches(name)
    # Last, so that the register still tells of whom there is something to do if this is broken off.
    register = keys.workers(broker.namespace)
    listed = [
        token
        for token in broker.link.command(b"HKEYS", register, key=register)
        if token.startswith(prefix.encode()) and _is_before(token, started_before)
    ]
    if listed:
        broker.link.command(b"HDEL", register, *listed, key=register)
    return len(found.union(listed)), jobs


def _is_before(token: bytes, time: int | None) -> bool:
    started = started_at(token.decode())
    return started is not None and (time is None or started < time)
