"""DeadJob: one dead letter of a queue, shown in the cluster. Redis stays the truth; the operator alone creates these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from jobyard_operator.resources.meta import API_VERSION, Count, Metadata, Model, Time


class DeadJobSpec(Model):
    """The dead letter as it was when it died."""

    job_id: Annotated[str, Field(min_length=1, max_length=128, description="The job's id.")]
    queue: Annotated[str, Field(max_length=128, description="Its queue.")]
    job_queue: Annotated[str, Field(max_length=253, description="The JobQueue that it belongs to.")]
    actor: Annotated[str, Field(max_length=255, description="What it would have run.")]
    error_type: Annotated[str, Field(max_length=255, description="Type of the last error.")] = ""
    error_message: Annotated[str, Field(max_length=1024, description="The last error, shortened.")] = ""
    attempts: Annotated[Count, Field(description="How often it was tried.")] = 0
    died_time: Annotated[Time, Field(description="When it died.")]
    arguments: Annotated[
        str | None,
        Field(
            max_length=4096, description="The arguments as JSON, shortened; only if deadLetters.showArguments is set."
        ),
    ] = None
    image: Annotated[str | None, Field(max_length=512, description="Image of the pod that ran it last.")] = None


class DeadJob(Model):
    """A dead letter. Annotate it with jobyard.dev/retry=true to run it again; delete it to discard the job."""

    api_version: str = API_VERSION
    kind: Literal["DeadJob"] = "DeadJob"
    metadata: Metadata
    spec: DeadJobSpec
