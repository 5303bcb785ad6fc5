"""An audit that doesn't trust the code under test: reads the keys of a queue one by one, and adds up."""

from __future__ import annotations

from collections import Counter

from jobyard.broker import JobyardBroker

_PLACES = ("ready", "scheduled", "active", "dead", "completed", "cancelled")
_BESIDE = ("runs", "results", "errors", "progress")


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
        twice = [job_id for job_id, count in found.items() if count > 1]
        assert not twice, f"queue {queue!r}: in more than one place: {twice}"
        known = set(client.hkeys(keys["jobs"]))
        assert known == set(found), f"queue {queue!r}: envelopes and places differ: {known ^ set(found)}"
        for field in _BESIDE:
            left = set(client.hkeys(keys[field])) - known
            assert not left, f"queue {queue!r}: {field!r} kept of jobs that are nowhere: {left}"
        asked = set(client.hkeys(keys["cancels"]))
        active = set(client.zrange(keys["active"], 0, -1))
        assert asked <= active, f"queue {queue!r}: cancels of jobs that don't run: {asked - active}"
