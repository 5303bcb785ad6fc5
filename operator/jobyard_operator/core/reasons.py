"""Why the autoscaler decided what it did: the same words in status, events, metrics and docs/operator/scaling.md."""

from __future__ import annotations

from jobyard_operator.core.explained import Explained


class Reason(Explained):
    """The one reason of a decision. `explanation` is the sentence in the documentation."""

    SLO_BACKLOG = "SloBacklog", "So many are needed for the waiting jobs to start within targetWaitSeconds."
    STEADY_LOAD = "SteadyLoad", "So many are needed for the jobs that arrive, at the utilization aimed at."
    JOBS_PER_REPLICA = (
        "JobsPerReplica",
        "It is not known yet how long jobs take: one replica for each jobsPerReplica jobs.",
    )
    AT_MAX = "AtMax", "More are needed than scaling.max allows."
    AT_MIN = "AtMin", "Fewer are needed than scaling.min demands."
    RATE_LIMITED = (
        "RateLimited",
        "More would help nobody: the queue's own rate or concurrency limit is reached with so many.",
    )
    SCALING_UP = "ScalingUp", "More are needed; scaleUp limits how many are added in a period."
    STABILIZING = "Stabilizing", "Fewer are needed now, but more were a short while ago."
    DRAINING = "Draining", "Fewer are needed; busy pods are not ended, and scaleDown limits how many idle ones are."
    IDLING = "Idling", "Nothing is there; idleTimeoutSeconds are not over."
    IDLE_TIMEOUT = "IdleTimeout", "Nothing was there for idleTimeoutSeconds."
    PREWARM = "Prewarm", "A job or a schedule is due within the time that a pod needs to start."
    PAUSED = "Paused", "The queue is paused: what runs finishes, nothing starts."
    UNREACHABLE = "Unreachable", "Redis can't be reached: nothing is removed."
    FALLBACK = "Fallback", "Redis can't be reached for fallback.afterSeconds: at least fallback.replicas."
    MANUAL = "Manual", "spec.replicas is set, by `kubectl scale` for instance."
    EXTERNAL = "External", "scaling.mode is External: somebody else decides."


class Bound(Explained):
    """A bound that changed the number; a decision lists all that did, in the order in which they acted."""

    USEFUL = "UsefulThreads", "Not more threads than jobs."
    RATE = "RateLimit", "Not more than the queue's rate limit lets start."
    CONCURRENCY = "Concurrency", "Not more threads than the queue's concurrency limit lets run."
    BUSY = "Busy", "Not fewer than run jobs now."
    HELD = "Held", "Not zero while anything waits, runs, is parked, abandoned, or due before a pod could start."
    MIN = "Min", "Not fewer than scaling.min."
    MAX = "Max", "Not more than scaling.max."
    STEP_UP = "ScaleUp", "Not more added in a period than scaleUp allows."
    STABILIZATION = "Stabilization", "Not fewer than were needed in the last stabilizationSeconds."
    DEAD_BAND = "DeadBand", "A difference of one must last twice as long."
    FLAP_GUARD = "FlapGuard", "The direction has changed too often: held for twice as long."
    IDLE_PODS = "IdlePods", "Not more removed than are idle."
    STEP_DOWN = "ScaleDown", "Not more removed in a period than scaleDown allows."
