"""What the watches tell, and what is only missing from a list."""

from __future__ import annotations

from typing import Any

from jobyard_operator.kubernetes.cache import PODS_REFUSED, REPLICAS_OWNED, Cache, Change, Key
from jobyard_operator.kubernetes.kinds import DEAD_JOBS, DEPLOYMENTS


def told(name: str, version: int = 1, **more: Any) -> dict[str, Any]:
    labels = {"jobyard.dev/jobqueue": "emails"}
    meta = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": str(version), "labels": labels}
    return {"metadata": meta, **more}


def test_what_went_while_nobody_listened_is_told_apart() -> None:
    heard: list[Change] = []
    cache = Cache(heard.append)
    for name in ("stays", "deleted", "missing"):
        cache.put(DEAD_JOBS, told(name))
    heard.clear()
    cache.remove(DEAD_JOBS, told("deleted", 2))
    known = cache.keys(DEAD_JOBS)
    cache.put(DEAD_JOBS, told("new"))  # while the list was under way
    cache.replace(DEAD_JOBS, [told("stays")], known)
    gone = {change.key.name: change.unheard for change in heard if change.after is None}
    assert gone == {"deleted": False, "missing": True}
    assert {one["metadata"]["name"] for one in cache.of(DEAD_JOBS, Key("shop", "emails"))} == {"stays", "new"}


def test_what_is_kept_of_a_deployment() -> None:
    cache = Cache()
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    whole = told("emails-worker", spec={"replicas": 2}, status={"replicas": 1, "conditions": [failure]})
    owner = {"manager": "kubectl", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    whole["metadata"]["managedFields"] = [owner]
    cache.put(DEPLOYMENTS, whole)
    kept = cache.get(DEPLOYMENTS, Key("shop", "emails-worker"))
    assert kept is not None
    assert kept["spec"]["replicas"] == 2
    assert kept["status"] == {"replicas": 1, PODS_REFUSED: "exceeded quota"}
    assert kept["metadata"][REPLICAS_OWNED]

    well = told("emails-worker", 2, spec={"replicas": 2}, status={"conditions": [{**failure, "status": "False"}]})
    cache.put(DEPLOYMENTS, well)
    kept = cache.get(DEPLOYMENTS, Key("shop", "emails-worker"))
    assert kept is not None
    assert PODS_REFUSED not in kept["status"]
    assert REPLICAS_OWNED not in kept["metadata"]
