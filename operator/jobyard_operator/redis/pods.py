"""Worker pods as Redis knows them: what they run, what becomes of their jobs when they die, and that they get no new ones when
they shall go."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from jobyard.broker import JobyardBroker
from jobyard.broker import pods as workers_by_pod
from jobyard.broker.retiring import release as release
from jobyard.broker.retiring import retire as retire
from jobyard.broker.workers import WorkerInfo, list_workers

Kind = Literal["OOMKilled", "WorkerDied", "Stopped", "Evicted", "Preempted", "PodDeleted", "NodeLost"]
#: Characters of a message that are kept with an attempt.
LONGEST_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class PodWork:
    """What the worker processes of a pod have said of themselves. Those of pods that are no more are shown for up to 15 s.

    Attributes:
        tokens: the names of its processes in fences.
        threads: how many jobs it can run at the same time.
        running: how many it runs. Up to 5 s old.
        draining: all its processes fetch no more, and end when they have finished what they run.
        oldest, newest: when the first and the last of its processes started; UNIX times in seconds.
        queues: names of the queues that it serves.
    """

    tokens: tuple[str, ...]
    threads: int
    running: int
    draining: bool
    oldest: float
    newest: float
    queues: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why the worker processes of a pod are gone, as it is kept with the attempts that they had.

    Attributes:
        message: a sentence for people.
        counts_attempt: the attempt counts: the job itself may be the cause. Otherwise it is as if it had not run.
        exit_code, node, image: of the container, where they are known.
    """

    kind: Kind
    message: str
    counts_attempt: bool
    exit_code: int | None = None
    node: str | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Fenced:
    """What a fence has found: how many worker processes, and how many jobs that went back."""

    workers: int
    jobs: int


def pods(broker: JobyardBroker) -> dict[str, PodWork]:
    """All pods of the broker's namespace that have worker processes, by name. One call for all queues.

    Raises:
        BrokerError: no answer.
    """
    return pods_of(list_workers(broker))


def pods_of(workers: Iterable[WorkerInfo]) -> dict[str, PodWork]:
    """The pods of these worker processes, by name."""
    found: defaultdict[str, list[WorkerInfo]] = defaultdict(list)
    for one in workers:
        if one.pod is not None:
            found[one.pod].append(one)
    return {pod: _work(its) for pod, its in found.items()}


def fence_pod(
    broker: JobyardBroker,
    pod: str,
    cause: Cause,
    *,
    started_before: float | None = None,
    queues: Iterable[str] | None = None,
) -> Fenced:
    """A pod is gone, or a container of it: its jobs run again at once, and whatever a process of it still says changes nothing.
    They are found by their fences: the pod need not have announced itself. Doing it again does nothing more.

    Args:
        started_before: a UNIX time in seconds: only processes that started before it. A restarted container has its pod's name.
        queues: those that the pod served, if that is known for sure; None: all queues of the namespace are looked through.

    Raises:
        BrokerError: it is perhaps not done in all queues. Do it again.
    """
    # The scripts look for the group at the beginning. What costs no attempt is no failure, and has none.
    group = {"group": cause.kind} if cause.counts_attempt else {}
    about = {
        **group,
        "error": cause.kind,
        "message": cause.message[:LONGEST_MESSAGE],
        "worker": pod,
        "pod": pod,
        "node": cause.node,
        "image": cause.image,
        "exit_code": cause.exit_code,
    }
    detail = json.dumps({name: value for name, value in about.items() if value is not None}, separators=(",", ":"))
    workers, jobs = workers_by_pod.fence(
        broker,
        pod,
        detail.encode(),
        counts=cause.counts_attempt,
        started_before=None if started_before is None else round(started_before * 1000),
        queues=queues,
    )
    return Fenced(workers, jobs)


def _work(its: list[WorkerInfo]) -> PodWork:
    return PodWork(
        tokens=tuple(one.token for one in its),
        threads=sum(one.threads for one in its),
        running=sum(one.busy for one in its),
        draining=all(one.draining for one in its),
        oldest=min(one.started_at for one in its) / 1000,
        newest=max(one.started_at for one in its) / 1000,
        queues=frozenset(name for one in its for name in one.queues),
    )
