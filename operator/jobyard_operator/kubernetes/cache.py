"""What is in the cluster, as the watches last told. Read by everything that decides; written by the watches alone."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from jobyard_operator.core.ownership import owned_by_others
from jobyard_operator.core.rendering import QUEUE_LABEL
from jobyard_operator.kubernetes.api import MANAGER, Object
from jobyard_operator.kubernetes.kinds import BUDGETS, DEPLOYMENTS, PODS, Kind

#: In the spec of cached Deployments and budgets: changes with all of it but the number of replicas.
SPEC_DIGEST: Final = "jobyardSpecDigest"
#: In the status of cached Deployments whose pods the API server refuses: what it says.
PODS_REFUSED: Final = "jobyardPodsRefused"
#: Set in the metadata of cached Deployments whose number of replicas somebody owns besides who applies the rest: it stays when
#: the next apply leaves it away.
REPLICAS_OWNED: Final = "jobyardReplicasOwned"


#: Objects that are remembered as gone, so that nothing that is told late brings them back.
GONE: Final = 10_000


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A JobQueue, or what belongs to it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Change:
    """An object has come, changed or gone. `before` and `after` are None where it was or is not there.

    Attributes:
        unheard: it has gone while nobody listened: how it ended, and who ended it, is not known.
    """

    kind: Kind
    key: Key
    queue: Key | None
    before: Object | None
    after: Object | None
    unheard: bool = False


class Cache:
    """Objects by kind and key, and those of each JobQueue.

    Args:
        heard: called with each change, after it was written.
    """

    def __init__(self, heard: Callable[[Change], None] = lambda change: None) -> None:
        self.heard = heard
        self._objects: defaultdict[Kind, dict[Key, Object]] = defaultdict(dict)
        self._owned: defaultdict[tuple[Kind, Key], set[Key]] = defaultdict(set)
        self._gone: OrderedDict[str, int] = OrderedDict()  # UID → its last version

    def get(self, kind: Kind, key: Key) -> Object | None:
        """The object, or None. It must not be changed."""
        return self._objects[kind].get(key)

    def all(self, kind: Kind) -> Iterator[Object]:
        """All of a kind."""
        yield from list(self._objects[kind].values())

    def keys(self, kind: Kind) -> set[Key]:
        return set(self._objects[kind])

    def of(self, kind: Kind, queue: Key) -> list[Object]:
        """Those that carry the JobQueue's label."""
        objects = self._objects[kind]
        return [objects[key] for key in sorted(self._owned.get((kind, queue), ()))]

    def put(self, kind: Kind, told: Object) -> None:
        """An object is there. An older state than the one known is left aside."""
        slim = _slim(kind, told)
        meta = slim["metadata"]
        key, queue = Key(meta.get("namespace", ""), meta["name"]), _queue(meta)
        before = self._objects[kind].get(key)
        if version(slim) <= self._gone.get(meta.get("uid", ""), -1):
            return  # A list that was read before it went.
        if before is not None and before["metadata"].get("uid") == meta.get("uid"):
            if version(before) > version(slim):
                return
            if before["metadata"].get("resourceVersion") == meta.get("resourceVersion"):
                return
        self._objects[kind][key] = slim
        if before is not None:
            self._disown(kind, key, before)
        if queue is not None:
            self._owned[kind, queue].add(key)
        self.heard(Change(kind, key, queue, before, slim))

    def remove(self, kind: Kind, told: Object, *, unheard: bool = False) -> None:
        """An object is gone, unless another one of that name has come meanwhile."""
        meta = told["metadata"]
        key = Key(meta.get("namespace", ""), meta["name"])
        before = self._objects[kind].get(key)
        if before is None or before["metadata"].get("uid") != meta.get("uid"):
            return
        del self._objects[kind][key]
        # As it was at its end: with the exit codes of its containers.
        last = _slim(kind, told)
        self._gone[meta.get("uid", "")] = max(version(before), version(told))
        while len(self._gone) > GONE:
            self._gone.popitem(last=False)
        self._disown(kind, key, before)
        self.heard(Change(kind, key, _queue(before["metadata"]), last, None, unheard))

    def replace(self, kind: Kind, told: Iterable[Object], known: set[Key]) -> None:
        """All that there is, from a list. What was `known` before the list was asked for and is not in it has gone unheard."""
        listed = set()
        for one in told:
            listed.add(Key(one["metadata"].get("namespace", ""), one["metadata"]["name"]))
            self.put(kind, one)
        for key in known - listed:
            gone = self._objects[kind].get(key)
            if gone is not None:
                self.remove(kind, gone, unheard=True)

    def _disown(self, kind: Kind, key: Key, before: Object) -> None:
        queue = _queue(before["metadata"])
        if queue is not None:
            self._owned[kind, queue].discard(key)
            if not self._owned[kind, queue]:
                del self._owned[kind, queue]


def _queue(meta: dict[str, Any]) -> Key | None:
    name = (meta.get("labels") or {}).get(QUEUE_LABEL)
    return None if name is None else Key(meta.get("namespace", ""), name)


def version(told: Object) -> int:
    """The resource version as a number; 0: it has none."""
    # Since Kubernetes 1.35 resource versions of one kind are comparable, and before they were in fact.
    said = str(told["metadata"].get("resourceVersion") or "")
    return int(said) if said.isdigit() else 0


def _slim(kind: Kind, told: Object) -> Object:
    """Without what takes most of the room and is of no use here. There may be thousands."""
    meta = dict(told["metadata"])
    managed = meta.pop("managedFields", None) or ()
    (meta.get("annotations") or {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    if owned_by_others(managed, MANAGER, "spec", "replicas"):
        meta[REPLICAS_OWNED] = True
    slim = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta}
    spec, status = told.get("spec") or {}, told.get("status") or {}
    if kind in (DEPLOYMENTS, BUDGETS):
        # What we apply is only compared.
        digest = hashlib.blake2b(json.dumps({**spec, "replicas": None}, sort_keys=True).encode(), digest_size=12)
        slim["spec"] = {"replicas": spec.get("replicas", 0), SPEC_DIGEST: digest.hexdigest()}
        counts: Object = {name: count for name, count in status.items() if isinstance(count, int)}
        refused = [
            one.get("message", "")
            for one in status.get("conditions") or ()
            if one.get("type") == "ReplicaFailure" and one.get("status") == "True"
        ]
        if refused:
            counts[PODS_REFUSED] = refused[0]
        return {**slim, "status": counts}
    if kind is PODS:
        containers = [{"name": one["name"], "image": one.get("image", "")} for one in spec.get("containers") or ()]
        spec = {"nodeName": spec.get("nodeName"), "containers": containers}
    return {**slim, "spec": spec, "status": status}
