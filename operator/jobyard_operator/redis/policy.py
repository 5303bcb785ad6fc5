"""A JobQueue's policy, and holds of the operator, reach Redis, where they act with the next fetch."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from jobyard.broker import JobyardBroker
from jobyard.broker.policy import QueuePolicy
from jobyard.broker.scripts import Argument
from jobyard_operator.redis.epoch import write

#: Characters of a reason that are kept.
LONGEST_REASON: Final = 500


def digest(policy: QueuePolicy) -> str:
    """What tells this policy from another one, as hexadecimal digits. Fields that are None don't matter, so that a version that
    knows more of them gives the same."""
    said = {name: value for name, value in policy.to_fields().items() if value != ""}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def configure(broker: JobyardBroker, queue: str, epoch: int, policy: QueuePolicy) -> bool:
    """Let the whole policy of a queue be this one; for fields that are None the default holds.

    It is written once: what somebody changes afterwards with the command line or the dashboard (a pause, for instance) holds
    until this is called with another policy. The operator's own holds (`hold`) are no part of it.

    Returns:
        Whether it was written now.

    Raises:
        Superseded: nothing was written.
        BrokerError: it is not known whether it was written. Doing it again is safe.
    """
    broker.announce([queue])
    mark = digest(policy)
    # Also what the caller has not mentioned is said: that the default shall hold.
    whole = QueuePolicy.model_validate(policy.model_dump())
    fields: list[Argument] = [part for pair in whole.to_fields().items() for part in pair]
    written, in_disorder = write(broker, "impose", queue, epoch, mark, "", *fields)
    if in_disorder:
        broker.reorder(queue)
        write(broker, "impose", queue, epoch, mark, "1")
    return bool(written)


def hold(broker: JobyardBroker, queue: str, epoch: int, reason: str | None) -> bool:
    """Start no job of a queue until the operator lets it go on; jobs are accepted, and running ones finish. It has nothing to do
    with the policy's `paused`: jobs start when neither holds.

    Args:
        reason: for people, in a sentence, without secrets; it is shown where the queue is, on one line and no longer than
            `LONGEST_REASON`. None: the queue goes on, at once.

    Returns:
        Whether that changed anything.

    Raises:
        Superseded: nothing was changed.
        BrokerError: it is not known whether it was changed. Doing it again is safe.
        ValueError: the reason is empty.
    """
    said = "" if reason is None else " ".join(reason.split())
    if reason is not None and not said:
        raise ValueError("a hold has a reason")
    if len(said) > LONGEST_REASON:
        said = said[: LONGEST_REASON - 1] + "…"
    broker.announce([queue])
    changed, _ = write(broker, "hold", queue, epoch, said)
    return bool(changed)
