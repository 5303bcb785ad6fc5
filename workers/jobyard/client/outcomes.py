"""What a job came to, as a value or an exception: shared by both clients."""

from __future__ import annotations

from typing import Any

from dramatiq.results import ResultFailure, ResultTimeout

from jobyard.broker.inspector import Job
from jobyard.broker.results import decode_result
from jobyard.errors import JobyardError


class JobFailed(JobyardError, ResultFailure):
    """The job became a dead letter, or was cancelled. `job` tells all its attempts."""

    def __init__(self, job: Job, error: str, text: str) -> None:
        ResultFailure.__init__(self, f"job {job.id} failed: {error}: {text}", error, text)
        self.job = job

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.job, self.orig_exc_type, self.orig_exc_msg)


class JobUnknown(JobyardError, LookupError):
    """There is no such job: there never was, or it is no longer kept."""


class JobPending(JobyardError, ResultTimeout):
    """The job has not ended in the time that was given. It goes on; ask again."""

    def __init__(self, text: str) -> None:
        ResultTimeout.__init__(self, text)


def value_of(job: Job | None, job_id: str) -> Any:
    """What a job returned.

    Raises:
        JobUnknown, JobPending, JobFailed: it has returned nothing.
        ResultFailure: what it returned could not be kept.
    """
    if job is None:
        raise JobUnknown(f"there is no job {job_id!r}, or it is no longer kept")
    if not job.ended:
        raise JobPending(f"job {job_id!r} has not ended yet: it is {job.state}")
    if job.state == "completed":
        return None if job.encoded_result is None else decode_result(job.encoded_result)
    if job.state == "cancelled":
        raise JobFailed(job, "Cancelled", "it was cancelled")
    last = job.last_error
    raise JobFailed(job, str(last.get("error", "unknown")), str(last.get("message", "")))
