"""`spec.scaling` of a JobQueue: what the autoscaler may do, and what it aims at."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from jobyard_operator.resources.meta import Int32, Model, rule, rules

Replicas = Annotated[Int32, Field(ge=0, le=10_000)]
Percent = Annotated[Int32, Field(ge=1, le=10_000)]


class ScaleUp(Model):
    """How fast replicas may be added: the greater of the two in a period. From zero there is no limit."""

    max_pods: Annotated[Int32, Field(ge=1, le=10_000, description="So many pods in a period.")] = 4
    max_percent: Annotated[
        Percent, Field(description="Or so many percent of the replicas there were at its start.")
    ] = 100
    period_seconds: Annotated[Int32, Field(ge=1, le=1800, description="Length of the period in seconds.")] = 15


class ScaleDown(Model):
    """How fast replicas may be removed. Only idle ones are, whatever is said here."""

    max_percent: Annotated[
        Int32,
        Field(
            ge=1,
            le=100,
            description="At most so many percent of the replicas there were at the start of a period, at least one.",
        ),
    ] = 50
    period_seconds: Annotated[Int32, Field(ge=1, le=1800, description="Length of the period in seconds.")] = 15


class Fallback(Model):
    """What to do when Redis can't be reached for long. Until then replicas stay as they are."""

    after_seconds: Annotated[
        Int32, Field(ge=0, le=86_400, description="So many seconds without an answer until this begins.")
    ] = 120
    replicas: Annotated[Replicas, Field(description="At least so many replicas; none are removed.")]


class Scaling(Model):
    """What the autoscaler may do, and what it aims at."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            # The API server tries rules on the default, {}, as well.
            rule(
                "!has(self.min) || !has(self.max) || self.min <= self.max",
                "min must not be greater than max: lower min or raise max",
            ),
            rule(
                "!has(self.fallback) || !has(self.max) || self.fallback.replicas <= self.max",
                "fallback.replicas must not be greater than max: lower it or raise max",
            ),
        )
    )

    mode: Annotated[
        Literal["Internal", "External"],
        Field(
            description="Internal: Jobyard's autoscaler decides. External: somebody else does, by `kubectl scale`, an HPA or "
            "KEDA on this JobQueue (its replicas are passed on) or on its Deployment (which is then left alone)."
        ),
    ] = "Internal"
    min: Annotated[Replicas, Field(description="Replicas that are always there; 0 lets an idle queue have none.")] = 0
    max: Annotated[Replicas, Field(ge=1, description="Replicas that there are at most.")] = 10
    target_wait_seconds: Annotated[
        Int32, Field(ge=1, le=86_400, description="The aim: jobs start within so many seconds after they are enqueued.")
    ] = 30
    target_utilization_percent: Annotated[
        Int32,
        Field(
            ge=10,
            le=100,
            description="How busy threads shall be under steady load. Less: more room for peaks, and more pods.",
        ),
    ] = 80
    jobs_per_replica: Annotated[
        Int32,
        Field(ge=1, le=1_000_000, description="Jobs for each replica while it is not yet known how long they take."),
    ] = 20
    idle_timeout_seconds: Annotated[
        Int32,
        Field(ge=0, le=604_800, description="When nothing was there for so many seconds, replicas go down to min."),
    ] = 120
    stabilization_seconds: Annotated[
        Int32,
        Field(
            ge=0, le=3600, description="Replicas follow the highest need of the last so many seconds when they go down."
        ),
    ] = 120
    scale_up: Annotated[ScaleUp, Field(description="How fast replicas may be added.")] = ScaleUp()
    scale_down: Annotated[ScaleDown, Field(description="How fast idle replicas may be removed.")] = ScaleDown()
    fallback: Annotated[
        Fallback | None,
        Field(description="What to do when Redis can't be reached for long. Without it, replicas stay as they are."),
    ] = None
