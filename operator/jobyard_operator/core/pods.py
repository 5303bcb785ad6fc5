"""What the status of a pod says about the worker in it: whether it serves, why it doesn't, and how its containers ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from jobyard_operator.core.last_words import last_error
from jobyard_operator.core.rendering import CONTAINER

#: What has ended it.
Kind = Literal["OOMKilled", "WorkerDied", "Stopped", "Evicted", "Preempted", "PodDeleted", "NodeLost"]

#: Where a ReplicaSet looks up which pods may go first.
DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
#: Reasons for which a container waits that don't go away by themselves.
_FAILING: Final = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
#: Reasons of containers that nobody saw end: their node did, or its container runtime.
_LOST: Final = ("Unknown", "ContainerStatusUnknown")
#: A worker that ended itself, since its processes died one after another; and the status with which it did.
GAVE_UP: Final = "GaveUp"
GAVE_UP_STATUS: Final = 4
_CRASHES: Final = ("CrashLoopBackOff", GAVE_UP)
#: Why a pod is being removed by the cluster, and not because of what it did.
_DISRUPTIONS: Final[dict[str, Kind]] = {
    "PreemptionByScheduler": "Preempted",
    "DeletionByTaintManager": "NodeLost",
    "EvictionByEvictionAPI": "Evicted",
    "DeletionByPodGC": "NodeLost",
    "TerminationByKubelet": "Evicted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How the worker of a pod ended.

    Attributes:
        message: for people.
        counts: whether what it ran has used an attempt: what a job did itself counts, what the cluster did doesn't.
        before: processes that started before this time (seconds since 1970) are meant; None: all of the pod.
    """

    kind: Kind
    message: str
    counts: bool
    exit_code: int | None = None
    node: str = ""
    image: str = ""
    before: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """A worker pod. Times in seconds since 1970.

    Attributes:
        ready_at: since when it serves; None: it doesn't.
        template: hash of the template that it was made from.
        restarts: how often its worker was started again.
        crashed_at: when its worker crashed last, to the second; None: it never has.
        failing: why it doesn't serve, in one word, where waiting won't help; '' while nothing is wrong.
        failure: the same for people, with how it ended last.
        ends: by container id: how those of its containers ended that are known.
    """

    name: str
    uid: str
    node: str
    created: float
    terminating: bool
    finished: bool
    ready: bool
    ready_at: float | None
    template: str
    cost: int
    restarts: int
    crashed_at: float | None
    failing: str
    failure: str
    ends: dict[str, End]


def facts(pod: dict[str, Any]) -> PodFacts:
    """What a pod says of itself."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    worker = _worker(status)
    waiting = (worker.get("state") or {}).get("waiting") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready: dict[str, Any] = conditions.get("Ready", {})
    serves = ready.get("status") == "True"
    last = _last(worker)
    crashed = bool(last) and last.get("exitCode") != 0 and last.get("reason") not in _LOST
    failing = waiting.get("reason", "") if waiting.get("reason") in _FAILING else ""
    if not failing and last.get("exitCode") == GAVE_UP_STATUS and not serves:
        failing = GAVE_UP
    return PodFacts(
        name=meta["name"],
        uid=meta.get("uid", ""),
        node=spec.get("nodeName") or "",
        created=_time(meta.get("creationTimestamp")) or 0.0,
        terminating=meta.get("deletionTimestamp") is not None,
        finished=status.get("phase") in ("Succeeded", "Failed"),
        ready=serves and meta.get("deletionTimestamp") is None,
        ready_at=_time(ready.get("lastTransitionTime")) if serves else None,
        template=(meta.get("labels") or {}).get("pod-template-hash", ""),
        cost=_cost((meta.get("annotations") or {}).get(DELETION_COST)),
        restarts=int(worker.get("restartCount") or 0),
        crashed_at=_time(last.get("finishedAt")) if crashed else None,
        failing=failing,
        failure=_failure(pod, worker, failing, waiting) if failing else "",
        ends=_ends(pod, worker),
    )


def end_of_pod(pod: dict[str, Any]) -> End:
    """Why a pod is no more, from its last state."""
    status = pod.get("status") or {}
    kind, why = _disruption(status)
    node, image = (pod.get("spec") or {}).get("nodeName") or "", _image(pod)
    ends = list(_ends(pod, _worker(status)).values())
    if kind is None and ends and ends[-1].kind in ("OOMKilled", "WorkerDied"):
        return End(
            kind=ends[-1].kind,
            message=ends[-1].message,
            counts=True,
            exit_code=ends[-1].exit_code,
            node=node,
            image=image,
        )
    name = pod["metadata"]["name"]
    message = f"pod {name} was removed" + (f" from node {node}" if node else "") + (f": {why}" if why else "")
    return End(kind=kind or "PodDeleted", message=message, counts=False, node=node, image=image)


def _ends(pod: dict[str, Any], worker: dict[str, Any]) -> dict[str, End]:
    ends = {}
    for state in (worker.get("lastState") or {}, worker.get("state") or {}):
        ended = state.get("terminated")
        if ended:
            ends[ended.get("containerID") or ended.get("finishedAt") or ""] = _end(pod, worker, ended)
    return ends


def _end(pod: dict[str, Any], worker: dict[str, Any], ended: dict[str, Any]) -> End:
    code = int(ended.get("exitCode") or 0)
    reason = ended.get("reason") or ""
    name, node = pod["metadata"]["name"], (pod.get("spec") or {}).get("nodeName") or ""
    disruption, why = _disruption(pod.get("status") or {})
    kind: Kind
    where = f"in pod {name}" + (f" on node {node}" if node else "")
    if disruption is not None:
        kind, counts, message = disruption, False, f"{disruption} {where}: {why}"
    elif reason in _LOST:
        kind, counts, message = "NodeLost", False, f"the worker {where} was gone when the node came back"
    elif reason == "OOMKilled":
        kind, counts, message = "OOMKilled", True, f"out of memory {where}"
    elif code == 0 or pod["metadata"].get("deletionTimestamp") is not None:
        # It was asked to stop; what it could not finish in time goes back.
        kind, counts, message = "Stopped", False, f"the worker {where} was stopped (exit code {code})"
    else:
        how = f"signal {code - 128}" if 128 < code <= 128 + signal.SIGRTMAX else f"exit code {code}"
        kind, counts, message = "WorkerDied", True, f"the worker {where} ended with {how}"
    running = ((worker.get("state") or {}).get("running") or {}).get("startedAt")
    # Times in a pod's status are whole seconds, cut off; what began in the second of the end and before the next start is meant.
    finished, started = _time(ended.get("finishedAt")), _time(running)
    before = None if finished is None else finished + 1.0
    if before is not None and started is not None:
        before = min(before, max(started, finished or 0.0))
    return End(kind=kind, message=message, counts=counts, exit_code=code, node=node, image=_image(pod), before=before)


def _disruption(status: dict[str, Any]) -> tuple[Kind | None, str]:
    for condition in status.get("conditions") or ():
        if condition["type"] == "DisruptionTarget" and condition.get("status") == "True":
            return _DISRUPTIONS.get(condition.get("reason", ""), "Evicted"), condition.get("message", "")
    if status.get("reason") in ("Evicted", "Preempting", "NodeLost", "Shutdown", "Terminated", "NodeShutdown"):
        kinds: dict[str, Kind] = {"NodeLost": "NodeLost", "Preempting": "Preempted"}
        kind = kinds.get(status["reason"], "Evicted")
        return kind, status.get("message", "")
    return None, ""


def _failure(pod: dict[str, Any], worker: dict[str, Any], failing: str, waiting: dict[str, Any]) -> str:
    image = _image(pod)
    if failing not in _CRASHES:
        return f"image {image}: {failing}: {waiting.get('message', '')}".rstrip(": ")
    last = _last(worker)
    how = "out of memory" if last.get("reason") == "OOMKilled" else f"exit code {last.get('exitCode', '?')}"
    ended = int(worker.get("restartCount") or 0) + ("terminated" in (worker.get("state") or {}))
    said = last_error(last.get("message") or "")
    times = "once" if ended == 1 else f"{ended} times"
    return f"image {image} crashes ({how}, {times})" + (f": {said}" if said else "")


def _last(worker: dict[str, Any]) -> dict[str, Any]:
    """How the last of a worker's containers that ended did so; {}: none has."""
    states = (worker.get("state") or {}, worker.get("lastState") or {})
    return next((state["terminated"] for state in states if state.get("terminated")), {})


def _worker(status: dict[str, Any]) -> dict[str, Any]:
    return next((one for one in status.get("containerStatuses") or () if one["name"] == CONTAINER), {})


def _image(pod: dict[str, Any]) -> str:
    containers = (pod.get("spec") or {}).get("containers") or ()
    return next((one.get("image", "") for one in containers if one["name"] == CONTAINER), "")


def _cost(text: str | None) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0


def _time(text: str | None) -> float | None:
    return None if not text else datetime.fromisoformat(text).timestamp()
