"""How jobs are told to people and programs: what the REST API and the command line have in common. Pure.

Jobs hold whatever clients sent; here it becomes what JSON can carry. One word for each state, the same everywhere outside of
Redis: a job that is out of attempts has `failed` (Redis and `Job.state` call it dead; the collection is the dead letters).
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from jobyard.broker.inspector import Job
from jobyard.broker.protection import is_encrypted_result
from jobyard.broker.schedules import QueueSchedule
from jobyard.broker.states import State

Status = Literal["waiting", "parked", "delayed", "active", "completed", "failed", "cancelled"]

#: The broker's word for a state → ours to the world.
STATUS: Final[dict[State, Status]] = {
    "waiting": "waiting",
    "parked": "parked",
    "delayed": "delayed",
    "active": "active",
    "completed": "completed",
    "dead": "failed",
    "cancelled": "cancelled",
}
#: And back. `dead` is understood as well, for those who read the broker's documentation.
STATES: Final[dict[str, State]] = {**{status: state for state, status in STATUS.items()}, "dead": "dead"}

_DEEPEST: Final = 50


def result_of(job: Job) -> tuple[Any, str | None]:
    """What the actor returned, as JSON can carry it; or None, and why that can't be shown."""
    encoded = job.encoded_result
    if encoded is None:
        return None, None
    if is_encrypted_result(encoded):
        return None, "encrypted: this process has no key for it"
    try:
        return plain(msgspec.json.decode(encoded)), None
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return plain(json.loads(encoded)), None  # NaN and huge integers.
    except (ValueError, RecursionError):
        return None, f"{len(encoded)} bytes that are not JSON: the application has an encoder of its own"


def schedule_values(known: QueueSchedule) -> dict[str, Any]:
    """What a queue knows of a schedule, with its runs by nominal time."""

    def said(name: str) -> str:
        return str(plain(known.info.get(name, "")))

    expressions = known.info.get("schedules")
    return {
        "name": said("name") or known.uid,
        "namespace": said("namespace"),
        "uid": known.uid,
        "queue": known.queue,
        "actor": said("actor"),
        "schedules": [str(plain(one)) for one in expressions] if isinstance(expressions, list) else [],
        "time_zone": said("timeZone"),
        "overlap_policy": said("overlapPolicy"),
        "counts": dict(known.counts),
        "runs": [
            {
                "nominal_time": iso(run.nominal),
                "due_time": iso(run.due),
                "job_id": run.job_id,
                "state": run.state.lower(),
                "by_hand": bool(run.token),
                "ended_at": iso(run.ended_at),
            }
            for run in known.runs
        ],
    }


def moment_of(milliseconds: Any) -> datetime | None:
    """A UNIX time in milliseconds, in UTC. None for what can't be one: clients set some of them."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float) or not milliseconds:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def iso(milliseconds: Any) -> str | None:
    """The same in ISO 8601: `2026-11-24T07:31:31.021Z`."""
    moment = moment_of(milliseconds)
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any, depth: int = 0) -> Any:
    """What JSON can carry, as near as possible: arguments are whatever an encoder could make of them."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        # Half a surrogate pair is a str, but no text.
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {plain(str(key)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    return plain(repr(value))
