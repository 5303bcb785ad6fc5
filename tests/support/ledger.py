"""An audit that doesn't trust the code under test: reads the keys of a queue one by one, and adds up."""

from __future__ import annotations

from collections import Counter
from typing import Any

from jobyard.broker import JobyardBroker
from jobyard.broker.keys import QueueKeys

_PLACES = ("ready", "scheduled", "active", "dead", "completed", "cancelled")
_BESIDE = ("runs", "results", "errors", "progress", "traits", "batched", "logs")


def audit(broker: JobyardBroker) -> None:
    """Every job that was ever accepted is in one place, or known to be gone; nothing is kept of a job that is nowhere.

    Raises:
        AssertionError: names the queue and the ids.
    """
    client = broker.server.client()
    for queue in broker.inspector.queues():
        stats = broker.inspector.stats(queue)
        assert stats.lost == 0, f"queue {queue!r}: {stats.lost} jobs lost: {stats}"
        assert stats.orphaned == 0, f"queue {queue!r}: {stats.orphaned} orphaned envelopes: {stats}"
        keys = broker.keys(queue)
        found = Counter(job_id for place in _PLACES for job_id in client.zrange(keys[place], 0, -1))
        found.update(row.split(b"\0")[2] for row in client.zrange(keys["parked"], 0, -1))
        twice = [job_id for job_id, count in found.items() if count > 1]
        assert not twice, f"queue {queue!r}: in more than one place: {twice}"
        known = set(client.hkeys(keys["jobs"]))
        assert known == set(found), f"queue {queue!r}: envelopes and places differ: {known ^ set(found)}"
        for field in _BESIDE:
            left = set(client.hkeys(keys[field])) - known
            assert not left, f"queue {queue!r}: {field!r} kept of jobs that are nowhere: {left}"
        letters = client.hgetall(keys["letters"])
        dead = set(client.zrange(keys["dead"], 0, -1))
        assert set(letters) <= dead, f"queue {queue!r}: counted as dead, but are not: {set(letters) - dead}"
        counted = {field[:-5]: int(count) for field, count in client.hgetall(keys["failures"]).items()
                   if field.endswith(b" dead")}  # fmt: skip
        few = client.zcard(keys["failures_seen"]) < 500  # Of many, the oldest are forgotten.
        assert not few or counted == Counter(letters.values()), f"queue {queue!r}: dead letters by failure {counted}"
        asked = set(client.hkeys(keys["cancels"]))
        active = set(client.zrange(keys["active"], 0, -1))
        assert asked <= active, f"queue {queue!r}: cancels of jobs that don't run: {asked - active}"
        _audit_keys(client, keys, queue, active)


def _audit_keys(client: Any, keys: QueueKeys, queue: str, active: set[bytes]) -> None:
    """Slots, parked jobs, unique keys and tags belong to jobs that are there."""
    traits = {job_id: value.split(b"\0") for job_id, value in client.hgetall(keys["traits"]).items()}
    tagged = {(tag, job_id) for job_id, value in traits.items() for tag in value[4].split(b"\1") if tag}
    index = {tuple(row.split(b"\0")) for row in client.zrange(keys["tags"], 0, -1)}
    assert index == tagged, f"queue {queue!r}: the index of tags and the jobs differ: {index ^ tagged}"
    running = Counter(traits[job_id][0] for job_id in active if job_id in traits and traits[job_id][0])
    slots = {key: int(count) for key, count in client.hgetall(keys["slots"]).items()}
    assert slots == running, f"queue {queue!r}: slots {slots}, but {dict(running)} run"
    # Somebody must be there to call a parked job back: one of its key that runs, or that waits to run.
    ahead = {traits[job_id][0] for place in ("active", "ready", "scheduled")
             for job_id in client.zrange(keys[place], 0, -1) if job_id in traits}  # fmt: skip
    parked = {row.split(b"\0")[0] for row in client.zrange(keys["parked"], 0, -1)}
    # … or the breaker of what it depends on.
    ahead |= {b"\1" + dependency for dependency in client.hkeys(keys["breakers"])}
    assert parked <= ahead, f"queue {queue!r}: parked for ever: {parked - ahead}"
    for unique, value in client.hgetall(keys["unique"]).items():
        mode, _, holder = value.partition(b" ")
        if mode != b"time":
            ended = any(client.zscore(keys[place], holder) is not None for place in ("dead", "completed", "cancelled"))
            assert holder in traits, f"queue {queue!r}: unique key {unique!r} of a job that is nowhere"
            assert not ended, f"queue {queue!r}: unique key {unique!r} of a job that has ended"
