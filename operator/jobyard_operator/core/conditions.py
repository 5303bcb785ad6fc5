"""The conditions of a JobQueue: metav1 conditions that kstatus understands (`kubectl wait`, Helm, Flux, Argo CD).

`Ready` sums up; `Reconciling` and `Stalled` are true when something is not as it should be. All are set from the first sight.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from jobyard_operator.core.observation import Decision
from jobyard_operator.core.reasons import Bound, Reason
from jobyard_operator.resources.meta import Condition

Status = Literal["True", "False", "Unknown"]
_LONGEST = 1024


class Type(StrEnum):
    """The types of our conditions, in the order in which they are listed."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SCALING_ACTIVE = "ScalingActive"
    SCALING_LIMITED = "ScalingLimited"
    METRICS_AVAILABLE = "MetricsAvailable"
    PAUSED = "Paused"
    DEAD_LETTERS_PRESENT = "DeadLettersPresent"


OURS: Final = frozenset(Type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What conditions are about.

    Attributes:
        generation: the resource's, which the rest was seen of.
        problem: why the resource can't be reconciled until somebody changes it, or the Secret that it names. None: it can.
        failing: why its pods don't start, with the image and the last error. None: they do.
        applied: whether Deployment and PodDisruptionBudget are as the resource says.
        foreign: fields of the children that somebody else has taken, and that are left to them.
        wanted: pods that there shall be. replicas: that exist. updated, ready: with the newest template; that serve.
        paused: by spec.paused. paused_by_hand: in Redis, from the command line or the dashboard.
        error: why Redis can't be reached. None: it can.
        decision: the autoscaler's last one; None: there is none yet.
    """

    generation: int
    problem: str | None = None
    failing: str | None = None
    applied: bool = True
    foreign: tuple[str, ...] = ()
    wanted: int = 0
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    paused: bool = False
    paused_by_hand: bool = False
    error: str | None = None
    dead: int = 0
    decision: Decision | None = None


def conditions(facts: Facts, before: Iterable[Condition], now: str) -> list[Condition]:
    """All conditions. `now` (RFC 3339) becomes the transition time of those whose status changed."""
    known = {condition.type: condition for condition in before}
    ours = [built(kind, _said(kind, facts), facts.generation, known.get(kind), now) for kind in Type]
    # What somebody else wrote stays.
    return ours + [condition for kind, condition in known.items() if kind not in OURS]


def built(kind: str, said: tuple[Status, str, str], generation: int, before: Condition | None, now: str) -> Condition:
    """A condition that says (status, reason, message); its time changes only with its status."""
    status, reason, message = said
    since = before.last_transition_time if before is not None and before.status == status else now
    if len(message) > _LONGEST:
        message = message[: _LONGEST - 1] + "…"
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )


def _said(kind: Type, facts: Facts) -> tuple[Status, str, str]:
    match kind:
        case Type.READY:
            return _ready(facts)
        case Type.RECONCILING:
            return _reconciling(facts)
        case Type.STALLED:
            return _stalled(facts)
        case Type.SCALING_ACTIVE:
            return _scaling_active(facts)
        case Type.SCALING_LIMITED:
            return _scaling_limited(facts)
        case Type.METRICS_AVAILABLE:
            if facts.error is not None:
                return (
                    "False",
                    "RedisUnreachable",
                    f"Redis can't be reached, so replicas stay as they are: {facts.error}",
                )
            if facts.decision is None:
                return "Unknown", "NotLookedYet", "Redis was not asked yet."
            return "True", "RedisAnswers", "Redis answers."
        case Type.PAUSED:
            if facts.paused:
                return "True", "SpecPaused", "spec.paused is set: jobs are accepted and none is started."
            if facts.paused_by_hand:
                return (
                    "True",
                    "PausedByHand",
                    "The queue was paused from the command line or the dashboard: jobs are accepted and none is started.",
                )
            return "False", "NotPaused", "Jobs are started."
        case Type.DEAD_LETTERS_PRESENT:
            if facts.error is not None:
                return "Unknown", "RedisUnreachable", "Redis can't be reached."
            if facts.decision is None:
                return "Unknown", "NotLookedYet", "The queue was not looked at yet."
            if facts.dead:
                letters = "1 job is a dead letter" if facts.dead == 1 else f"{facts.dead} jobs are dead letters"
                return "True", "JobsFailed", f"{letters}: `kubectl get deadjobs` shows the newest."
            return "False", "NoDeadLetters", "No job is a dead letter."


def _ready(facts: Facts) -> tuple[Status, str, str]:
    stalled, reason, message = _stalled(facts)
    if stalled == "True":
        return "False", reason, message
    if facts.error is not None:
        return "False", "RedisUnreachable", f"Redis can't be reached: {facts.error}"
    if facts.decision is None:
        return "Unknown", "NotLookedYet", "The queue was not looked at yet."
    reconciling, reason, message = _reconciling(facts)
    if reconciling == "True":
        return "False", reason, message
    if facts.replicas == 0 and facts.wanted == 0:
        return "True", "ScaledToZero", "No pod is needed; the first job starts one."
    return "True", "PodsServe", f"{facts.ready} of {facts.replicas} pods serve."


def _reconciling(facts: Facts) -> tuple[Status, str, str]:
    if not facts.applied:
        return "True", "Applying", "Deployment and PodDisruptionBudget are being brought up to date."
    if facts.updated < facts.replicas:
        return "True", "RollingOut", f"{facts.updated} of {facts.replicas} pods have the newest template."
    # Some pods more or less are the autoscaler's everyday work; none at all is not.
    expected = max(facts.replicas, facts.wanted)
    if expected and not facts.ready:
        return "True", "PodsStarting", f"None of {expected} pods serves yet."
    if facts.foreign:
        fields = ", ".join(facts.foreign)
        return (
            "False",
            "UpToDate",
            f"Everything is as the resource says, but for what others have taken over: {fields}.",
        )
    return "False", "UpToDate", "Everything is as the resource says."


def _stalled(facts: Facts) -> tuple[Status, str, str]:
    if facts.problem is not None:
        return "True", "NeedsChange", facts.problem
    if facts.failing is not None:
        return "True", "PodsFail", facts.failing
    return "False", "Progressing", "Nothing keeps it from being reconciled."


def _scaling_active(facts: Facts) -> tuple[Status, str, str]:
    decision = facts.decision
    if decision is None:
        return "Unknown", "NotLookedYet", "Nothing was decided yet."
    if decision.reason in (Reason.EXTERNAL, Reason.MANUAL, Reason.UNREACHABLE, Reason.FALLBACK):
        return "False", decision.reason, decision.sentence
    return "True", decision.reason, decision.sentence


def _scaling_limited(facts: Facts) -> tuple[Status, str, str]:
    decision = facts.decision
    if decision is None:
        return "Unknown", "NotLookedYet", "Nothing was decided yet."
    if decision.reason in (Reason.AT_MAX, Reason.RATE_LIMITED, Reason.SCALING_UP):
        return "True", decision.reason, decision.sentence
    if Bound.FLAP_GUARD in decision.bounds:
        return "True", "Flapping", "The need has changed its direction too often; replicas go down half as fast."
    return "False", "AsNeeded", "Replicas are as many as are needed."
