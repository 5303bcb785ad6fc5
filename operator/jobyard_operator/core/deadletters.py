"""Dead letters as DeadJob objects: which to create and which to remove, so that the newest are shown and etcd holds no backlog.

Redis is the truth. An object that we remove is *released* first (an annotation), since deleting one that is not means: discard
the job. Creations and removals are bounded each time; the rest follows the next time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobyard_operator.core.rendering import QUEUE_LABEL
from jobyard_operator.resources.deadjob import DeadJob
from jobyard_operator.resources.jobqueue import JobQueue
from jobyard_operator.resources.meta import API_VERSION

RETRY_ANNOTATION: Final = "jobyard.dev/retry"
#: On objects that we remove ourselves: the job is not meant.
RELEASED_ANNOTATION: Final = "jobyard.dev/released"
#: Creations and removals in one pass.
STEP: Final = 20
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter, as Redis has it. Times in RFC 3339."""

    job_id: str
    actor: str
    died: str
    attempts: int = 0
    error_type: str = ""
    error_message: str = ""
    arguments: dict[str, Any] | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """What to do to the objects.

    Attributes:
        create: whole objects.
        release: those to annotate as released and then delete, with their uid as the precondition.
    """

    create: tuple[dict[str, Any], ...] = ()
    release: tuple[DeadJob, ...] = ()


def mirror(queue: JobQueue, newest: Sequence[Letter], existing: Iterable[DeadJob]) -> Mirror:
    """What brings the queue's objects up to date.

    Args:
        newest: the newest dead letters of the queue, at least as many as shall be mirrored, if there are.
        existing: all DeadJob objects in the JobQueue's namespace, also of other queues.
    """
    existing = list(existing)
    wanted = {letter.job_id: letter for letter in newest[: queue.spec.dead_letters.mirrored]}
    ours = [dead for dead in existing if dead.spec.job_queue == queue.metadata.name]
    # One that died again is another object: what it says has changed. One that is released was to go already.
    stale = [
        dead
        for dead in ours
        if dead.spec.job_id not in wanted
        or dead.spec.died_time != wanted[dead.spec.job_id].died
        or RELEASED_ANNOTATION in dead.metadata.annotations
    ]
    shown = {dead.spec.job_id for dead in ours}
    taken = {dead.metadata.name for dead in existing}
    missing = [letter for letter in wanted.values() if letter.job_id not in shown]
    return Mirror(
        create=tuple(dead_job(queue, letter, taken) for letter in missing[:STEP]),
        release=tuple(dead for dead in stale if dead.metadata.deletion_timestamp is None)[:STEP],
    )


def dead_job(queue: JobQueue, letter: Letter, taken: Iterable[str] = ()) -> dict[str, Any]:
    """The object for a dead letter."""
    spec: dict[str, Any] = {
        "jobId": letter.job_id,
        "queue": queue.spec.queue,
        "jobQueue": queue.metadata.name,
        "actor": letter.actor,
        "errorType": _short(letter.error_type, 255),
        "errorMessage": _short(letter.error_message, 1024),
        "attempts": letter.attempts,
        "diedTime": letter.died,
    }
    if queue.spec.dead_letters.show_arguments and letter.arguments is not None:
        spec["arguments"] = _short(json.dumps(letter.arguments, ensure_ascii=False), 4096)
    if letter.image is not None:
        spec["image"] = _short(letter.image, 512)
    return {
        "apiVersion": API_VERSION,
        "kind": "DeadJob",
        "metadata": {
            "name": _name(queue, letter.job_id, set(taken)),
            "namespace": queue.metadata.namespace,
            "labels": {QUEUE_LABEL: queue.metadata.name},
            "ownerReferences": [
                {"apiVersion": API_VERSION, "kind": "JobQueue", "name": queue.metadata.name, "uid": queue.metadata.uid}
            ],
        },
        "spec": spec,
    }


def asks_for_retry(dead: DeadJob) -> bool:
    """Whether somebody has annotated it to be retried."""
    return dead.metadata.annotations.get(RETRY_ANNOTATION, "").lower() in ("true", "yes", "1")


def belongs(dead: DeadJob, queue: JobQueue) -> bool:
    """Whether we made it for this JobQueue. Whoever makes one by hand shall not reach the jobs of another queue by it."""
    return (
        dead.spec.job_queue == queue.metadata.name
        and dead.spec.queue == queue.spec.queue
        and any(owner.uid == queue.metadata.uid for owner in dead.metadata.owner_references)
    )


def means_discard(dead: DeadJob, *, queue_is_going: bool = False) -> bool:
    """Whether the deletion of this object means that its job shall be discarded.

    Args:
        queue_is_going: its JobQueue or its namespace is gone or being deleted, so that Kubernetes removes the object, not a
            person.
    """
    return not queue_is_going and RELEASED_ANNOTATION not in dead.metadata.annotations and not asks_for_retry(dead)


def _name(queue: JobQueue, job_id: str, taken: set[str]) -> str:
    """The job's id where it can be a name, so that people find it by that; else, or if another queue has it, one made from it."""
    if len(job_id) <= 63 and _NAME.fullmatch(job_id) and job_id not in taken:
        return job_id
    return "job-" + hashlib.sha256(f"{queue.metadata.name}/{job_id}".encode()).hexdigest()[:32]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
