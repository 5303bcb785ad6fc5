"""All that a namespace holds in Redis, as plain values that can be compared."""

from __future__ import annotations

from typing import Any

from jobyard.broker import JobyardBroker


def snapshot(broker: JobyardBroker) -> dict[str, Any]:
    """Every key of the broker's namespace with its value. Left out: wake-up tokens, timers, call numbers and what only
    says when a worker was last seen, since those may change without a job being moved."""
    client = broker.server.client()
    found: dict[str, Any] = {}
    for key in sorted(client.scan_iter(match=f"{broker.namespace}:*", count=1000)):
        name = key.decode()
        if name.endswith((":wake", ":timer")) or ":call:" in name:
            continue
        kind = client.type(key)
        if kind == b"hash":
            fields = client.hgetall(key)
            if name.endswith(":counts"):
                for noise in (b"seen", b"grace", b"tick"):
                    fields.pop(noise, None)
            found[name] = fields
        elif kind == b"zset":
            scored = client.zrange(key, 0, -1, withscores=True)
            # A lease's end may move: that is what renewing is.
            found[name] = sorted(member for member, _ in scored) if name.endswith(":active") else scored
        elif kind == b"set":
            found[name] = client.smembers(key)
        elif kind == b"list":
            found[name] = client.lrange(key, 0, -1)
        else:
            found[name] = client.get(key)
    return found
