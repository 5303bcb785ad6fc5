"""JobQueue: one queue, the workers that serve it, and how many there shall be."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from jobyard_operator.resources.meta import API_VERSION, Conditions, Count, Int32, Metadata, Model, Time, rule, rules
from jobyard_operator.resources.policy import Policy
from jobyard_operator.resources.scaling import Replicas, Scaling
from jobyard_operator.resources.worker import Worker

DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


class SecretKey(Model):
    """A key of a Secret in the JobQueue's namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME, description="Name of the Secret.")]
    key: Annotated[
        str,
        Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="Its key that holds the URL."),
    ] = "url"


class Redis(Model):
    """Where the jobs are."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.secretRef) != has(self.url)",
                "give exactly one of secretRef (a Secret that holds the URL) and url (only for a Redis without a password)",
            )
        )
    )

    secret_ref: Annotated[
        SecretKey | None,
        Field(description="The Secret that holds the URL, for instance rediss://user:password@host:6379/0."),
    ] = None
    url: Annotated[
        str | None,
        Field(
            max_length=1024,
            description="The URL itself, for a Redis without a password.",
            json_schema_extra=rules(
                rule("!self.contains('@')", "a URL with a user or a password belongs in a Secret: use secretRef")
            ),
        ),
    ] = None
    namespace: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z0-9_.-]+$",
            description="Prefix of the keys in Redis (JOBYARD_NAMESPACE).",
        ),
    ] = "jobyard"


class DeadLetters(Model):
    """How dead letters are shown in the cluster. They stay in Redis, whatever is said here."""

    mirrored: Annotated[
        Int32,
        Field(
            ge=0, le=100, description="So many of the newest dead letters are shown as DeadJob objects; 0 shows none."
        ),
    ] = 20
    show_arguments: Annotated[
        bool,
        Field(description="Whether DeadJob objects show the arguments. Whoever may read DeadJobs then reads them."),
    ] = False


class JobQueueSpec(Model):
    """One queue, the workers that serve it, and how many there shall be."""

    queue: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=r"^[A-Za-z_][A-Za-z0-9._/-]*$",
            description="Name of the queue, as actors name it (`queue_name`). It can't be changed.",
            json_schema_extra=rules(
                rule(
                    "self == oldSelf", "the queue's name can't be changed: create another JobQueue and delete this one"
                ),
                rule(
                    "!self.endsWith('.DQ') && !self.endsWith('.XQ')",
                    "a queue's name must not end in .DQ or .XQ: choose another one",
                ),
            ),
        ),
    ]
    redis: Annotated[Redis, Field(description="Where the jobs are.")]
    worker: Annotated[Worker, Field(description="What the queue's pods run.")]
    scaling: Annotated[Scaling, Field(description="What the autoscaler may do, and what it aims at.")] = Scaling()
    replicas: Annotated[
        Replicas | None,
        Field(
            description="Exactly so many replicas, as `kubectl scale jobqueue` sets it. Leave it out and the autoscaler decides "
            '(`kubectl patch jobqueue NAME --type=json -p \'[{"op":"remove","path":"/spec/replicas"}]\'` gives it back).'
        ),
    ] = None
    paused: Annotated[
        bool,
        Field(
            description="No job is started; jobs are accepted, running ones finish, and replicas go down to scaling.min."
        ),
    ] = False
    policy: Annotated[Policy, Field(description="What Redis enforces at every fetch: limits, order, retention.")] = (
        Policy()
    )
    dead_letters: Annotated[DeadLetters, Field(description="How dead letters are shown in the cluster.")] = (
        DeadLetters()
    )
    deletion_policy: Annotated[
        Literal["KeepJobs", "DiscardJobs"],
        Field(
            description="What becomes of the jobs in Redis when this JobQueue is deleted. Pods are removed in any case."
        ),
    ] = "KeepJobs"


class DecisionStatus(Model):
    """The autoscaler's last decision."""

    desired_replicas: Annotated[Count | None, Field(description="How many replicas there shall be.")] = None
    reason: Annotated[str, Field(max_length=64, description="Why, in one word; docs/operator/scaling.md lists all.")]
    message: Annotated[str, Field(max_length=1024, description="Why, in a sentence.")] = ""
    time: Annotated[Time | None, Field(description="When this was first decided.")] = None


class CommandStatus(Model):
    """The last command of one kind that was given by annotation, and its outcome."""

    annotation: Annotated[str, Field(max_length=316, description="The annotation that gave it.")]
    token: Annotated[str, Field(max_length=1024, description="Its value. The same value is not handled again.")]
    outcome: Annotated[Literal["Running", "Succeeded", "Failed"], Field(description="What became of it.")]
    changed: Annotated[Count, Field(description="How many jobs it changed.")] = 0
    message: Annotated[str, Field(max_length=1024, description="What became of it, in a sentence.")] = ""
    finished_time: Annotated[Time | None, Field(description="When it was done.")] = None


#: Of a status.
Commands = Annotated[
    list[CommandStatus],
    Field(
        max_length=16,
        description="The last commands given by annotation.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["annotation"]},
    ),
]


class JobQueueStatus(Model):
    """What was seen last. Live numbers are in the metrics; these are written at most every few seconds."""

    observed_generation: Annotated[
        int, Field(ge=0, description="The generation that was reconciled last.", json_schema_extra={"format": "int64"})
    ] = 0
    replicas: Annotated[Count, Field(description="Pods that exist.")] = 0
    ready_replicas: Annotated[Count, Field(description="Pods that serve.")] = 0
    selector: Annotated[
        str, Field(max_length=1024, description="Label selector of the pods, for the scale subresource.")
    ] = ""
    waiting: Annotated[Count, Field(description="Jobs that could start.")] = 0
    active: Annotated[Count, Field(description="Jobs that run.")] = 0
    delayed: Annotated[Count, Field(description="Jobs that are due later.")] = 0
    parked: Annotated[Count, Field(description="Jobs that wait for a slot of their key.")] = 0
    dead: Annotated[Count, Field(description="Dead letters.")] = 0
    oldest_seconds: Annotated[Count, Field(description="For how many seconds the first waiting job has waited.")] = 0
    decision: Annotated[DecisionStatus | None, Field(description="The autoscaler's last decision.")] = None
    commands: Commands = Field(default_factory=list)
    conditions: Conditions = Field(default_factory=list)


class JobQueue(Model):
    """A queue of background jobs, the workers that serve it, and how many of them there shall be."""

    api_version: str = API_VERSION
    kind: Literal["JobQueue"] = "JobQueue"
    metadata: Metadata
    spec: JobQueueSpec
    status: JobQueueStatus = JobQueueStatus()

    @classmethod
    def parse(cls, resource: dict[str, Any]) -> JobQueue:
        """From what the API server gave.

        Raises:
            pydantic.ValidationError: the API server has let through what our schema forbids (an older CRD is installed).
        """
        return cls.model_validate(resource)
