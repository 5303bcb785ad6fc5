"""Dramatiq's groups and pipelines as a whole: what can be done with them besides running and waiting."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import dramatiq
from dramatiq import Message, group, pipeline

from jobyard.broker import JobyardBroker

#: What a job of a group or pipeline was before it was cancelled, and means that its pipeline stops there.
_STOPPED: Final = frozenset(("waiting", "delayed", "parked", "dead", "cancelled"))


def cancel_group(composition: group | pipeline, *, timeout: int = 10_000) -> dict[str, str]:
    """Cancel all jobs of a group or a pipeline that have not ended, those of groups and pipelines in it as well.

    A step of a pipeline that runs is asked to stop. Should it complete all the same, its next step exists from then on; so this
    waits for such steps to end, and cancels what follows.

    Args:
        timeout: for how long to wait for running steps, in milliseconds. One that still runs then is `active` in the answer,
            and the pipeline goes on if it completes.

    Returns:
        The state that each job had, by id; see `JobyardBroker.cancel`. Steps whose turn had not come are left out.

    Raises:
        TypeError: its broker is not Jobyard's.
        BrokerError: Redis could not be asked; some jobs may be cancelled already. Doing it again is safe.
    """
    broker: dramatiq.Broker = composition.broker
    if not isinstance(broker, JobyardBroker):
        raise TypeError(f"only jobs of a JobyardBroker can be cancelled, not those of a {type(broker).__name__}")
    deadline = time.monotonic() + timeout / 1000
    before: dict[str, str] = {}
    chains = list(_chains(composition))
    # Step by step, since the next one exists only when the one before has completed.
    while chains:
        by_queue: defaultdict[str, list[str]] = defaultdict(list)
        for head, *_ in chains:
            by_queue[head.queue_name].append(head.message_id)
        states: dict[str, str] = {}
        for queue, ids in by_queue.items():
            states |= broker.cancel_many(queue, ids)
        before |= {job_id: state for job_id, state in states.items() if state != "unknown"}
        chains = [chain[1:] for chain in chains if chain[1:] and _goes_on(broker, chain[0], states, deadline)]
    return before


def _goes_on(broker: JobyardBroker, step: Message[Any], states: dict[str, str], deadline: float) -> bool:
    """Whether the step after this one may exist."""
    state = states[step.message_id]
    if state != "active":
        return state not in _STOPPED
    job = broker.inspector.wait(step.message_id, queue=step.queue_name, deadline=deadline)
    return job is None or job.state == "completed"


def _chains(composition: Any) -> Iterator[list[Message[Any]]]:
    """The jobs, those of one pipeline in their order."""
    if isinstance(composition, group):
        for child in composition.children:
            yield from _chains(child)
    elif isinstance(composition, pipeline):
        yield list(composition.messages)
    else:
        yield [composition]
