"""`spec.worker` of a JobQueue: what its pods run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jobyard_operator.resources.meta import Int32, Model

_NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_QUANTITY = rf"^[+-]?{_NUMBER}([KMGTPE]i|[numkMGTPE]|[eE][+-]?{_NUMBER})?$"
#: As Kubernetes writes them: 500m, 2, 256Mi.
Quantity = Annotated[
    int | str,
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "pattern": _QUANTITY,
        }
    ),
]
Module = Annotated[
    str,
    Field(
        max_length=253,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(:[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*)?$",
    ),
]


class Resources(Model):
    """Processor and memory of the worker's container, as in a pod."""

    requests: Annotated[dict[str, Quantity] | None, Field(max_length=16, description="What it is sure to get.")] = None
    limits: Annotated[dict[str, Quantity] | None, Field(max_length=16, description="What it must not exceed.")] = None


class Worker(Model):
    """What the queue's pods run."""

    image: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            description="Image with the application and Jobyard in it. A digest is safest.",
        ),
    ]
    image_pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"] | None,
        Field(description="When to pull it. Default: as Kubernetes does, by the tag."),
    ] = None
    modules: Annotated[
        list[Module],
        Field(
            min_length=1,
            max_length=64,
            description="Modules that declare the actors, as `jobyard worker` takes them: package.module or package.module:name.",
        ),
    ]
    processes: Annotated[Int32, Field(ge=1, le=1024, description="Processes in each pod.")] = 1
    threads: Annotated[
        Int32,
        Field(
            ge=1,
            le=1024,
            description="Threads in each process. Several for jobs that wait for other systems, 1 for jobs that compute.",
        ),
    ] = 8
    drain_timeout_seconds: Annotated[
        Int32,
        Field(
            ge=0,
            le=86_400,
            description="Seconds that running jobs have to finish when a pod is stopped; then they go back without using an "
            "attempt. The pod's terminationGracePeriodSeconds follows from it.",
        ),
    ] = 25
    resources: Annotated[Resources | None, Field(description="Processor and memory of the worker's container.")] = None
    pod_template: Annotated[
        dict[str, Any] | None,
        Field(
            description="Anything else of the pod: a PodTemplateSpec whose fields are merged over ours, lists by name as in "
            "`kubectl patch`. The worker's container is called `worker`.",
            json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
        ),
    ] = None
